package wire

import (
	"fmt"

	"github.com/facegate/facegate/match/picture"
)

// Fit returns a picture of at most limit bytes: the given one if it is small
// enough, else a copy that is scaled down until it is.
func Fit(jpeg []byte, limit int) ([]byte, error) {
	if len(jpeg) <= limit {
		return jpeg, nil
	}
	img, err := picture.Decode(jpeg)
	if err != nil {
		return nil, err
	}
	const quality, leastSide = 85, 200
	for side := 2048; side >= leastSide; side = side * 3 / 4 {
		small, _ := picture.Scale(img, side)
		if jpeg, err = picture.JPEG(small, quality); err != nil {
			return nil, err
		}
		if len(jpeg) <= limit {
			return jpeg, nil
		}
	}
	return nil, fmt.Errorf("picture has still %d bytes at %d pixels, more than %d", len(jpeg), leastSide, limit)
}
