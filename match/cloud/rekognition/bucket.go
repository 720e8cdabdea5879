package rekognition

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rekognition/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// removeTime bounds the deletion of a call's pictures, whatever became of
	// the call.
	removeTime = 5 * time.Second

	// A picture whose upload was cut off may be stored after it was deleted. It
	// is deleted at once, for which there is firstTime, and again after lateTime.
	firstTime = 2 * time.Second
	lateTime  = 1500 * time.Millisecond

	// maxInside bounds the calls whose pictures are in the bucket.
	maxInside = 8
)

func (b Bucket) check(say func(setting, format string, args ...any)) {
	if len(b.Name) < 3 || len(b.Name) > 63 || strings.Trim(b.Name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		say("bucket", "%q is not the name of a bucket (3 to 63 lower-case letters, digits, dots and hyphens)", b.Name)
	}
	if strings.HasSuffix(b.Name, "--x-s3") {
		say("bucket", "%q is a directory bucket (use a general purpose bucket)", b.Name)
	}
	if len(b.Prefix) > 512 || strings.HasPrefix(b.Prefix, "/") || strings.ContainsFunc(b.Prefix, unicode.IsControl) {
		say("bucket_prefix", "%q is not the start of an object's name (such as kiosk-7/)", b.Prefix)
	}
}

// A bucket keeps the pictures of running calls.
type bucket struct {
	settings Bucket
	s3       *s3.Client
	http     *http.Client
	log      *slog.Logger
	inside   chan struct{}  // a value for each call inside
	pending  sync.WaitGroup // deletions
}

func newBucket(s Settings, retryer aws.Retryer) *bucket {
	return &bucket{
		settings: s.Bucket,
		http:     s.HTTP,
		log:      s.Log,
		inside:   make(chan struct{}, maxInside),
		s3: s3.New(s3.Options{
			Region:                      s.Region,
			BaseEndpoint:                given(s.Bucket.Endpoint),
			HTTPClient:                  s.HTTP,
			Retryer:                     retryer,
			UsePathStyle:                s.Bucket.Endpoint != "",
			DisableS3ExpressSessionAuth: aws.Bool(true),
			// The signature covers the body; the newer checksums would only
			// bring in another encoding.
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
			ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		}),
	}
}

// An object is one picture in the bucket. Its version is known if it is stored
// and the bucket keeps versions.
type object struct {
	name    string
	version *string
	unsure  bool // whether it is stored, now or later: its upload failed
}

// enter waits until there is room for a call's pictures.
func (b *bucket) enter(ctx context.Context) error {
	select {
	case b.inside <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// objects names the pictures of one call.
func (b *bucket) objects() *[2]object {
	name := b.settings.Prefix + rand.Text()
	return &[2]object{{name: name + "-source.jpg"}, {name: name + "-target.jpg"}}
}

func (b *bucket) image(o object) *types.Image {
	return &types.Image{S3Object: &types.S3Object{Bucket: &b.settings.Name, Name: &o.name, Version: o.version}}
}

// put stores both pictures and returns when neither is under way any more.
func (b *bucket) put(ctx context.Context, m *meter, k key, objects *[2]object, pictures [2][]byte) error {
	var errs [2]error
	var wg sync.WaitGroup
	for i := range objects {
		wg.Go(func() {
			out, err := b.s3.PutObject(ctx, &s3.PutObjectInput{
				Bucket: &b.settings.Name, Key: &objects[i].name,
				Body: bytes.NewReader(pictures[i]), ContentType: aws.String("image/jpeg"),
			}, func(o *s3.Options) { o.HTTPClient, o.Credentials = m, k })
			if err != nil {
				errs[i], objects[i].unsure = err, true
				return
			}
			objects[i].version = out.VersionId
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// remove deletes both pictures, whether they were stored or not, and ends the
// call's stay. It does not wait: nobody at the door waits for it either.
func (b *bucket) remove(ctx context.Context, k key, objects *[2]object) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
	b.pending.Go(func() {
		defer func() { <-b.inside }()
		defer cancel()
		var wg sync.WaitGroup
		for _, o := range objects {
			wg.Go(func() { b.removeOne(ctx, k, o) })
		}
		wg.Wait()
	})
}

// removeOne deletes one picture, and again later if its upload failed.
func (b *bucket) removeOne(ctx context.Context, k key, o object) {
	if o.unsure {
		late := time.NewTimer(lateTime)
		defer late.Stop()
		first, cancel := context.WithTimeout(ctx, firstTime)
		_ = b.deleteOne(first, k, o) // the second time tells
		cancel()
		<-late.C
	}
	if err := b.deleteOne(ctx, k, o); err != nil {
		b.log.Error("picture not deleted from bucket",
			"provider", Name, "bucket", b.settings.Name, "object", o.name, "err", err)
	}
}

// deleteOne deletes one picture. An error is a *cloud.Failure.
func (b *bucket) deleteOne(ctx context.Context, k key, o object) error {
	m := &meter{client: b.http}
	_, err := b.s3.DeleteObject(ctx, &s3.DeleteObjectInput{
		Bucket: &b.settings.Name, Key: &o.name, VersionId: o.version,
	}, func(s *s3.Options) { s.HTTPClient, s.Credentials, s.Retryer = m, k, attempts(maxAttempts) })
	if err != nil {
		return failure(ctx, m, k, err)
	}
	return nil
}
