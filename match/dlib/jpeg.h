#include <stdlib.h>

// facegate_jpeg writes a baseline JPEG of three components with 4:2:0 chroma.
// It returns memory for free() and its size, or NULL.
//
// The chroma of the pixel (x, y) is at ((x + x0) >> right, (y + y0) >> down).
// Without cb and cr, luma is a picture of four bytes a pixel: red, green,
// blue, and one that is ignored.
unsigned char *facegate_jpeg(const unsigned char *luma, const unsigned char *cb, const unsigned char *cr,
	int stride, int chroma_stride, int right, int down, int x0, int y0,
	int width, int height, int quality, unsigned long *size);
