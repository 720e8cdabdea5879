// Package rekognition asks CompareFaces of Amazon Rekognition.
//
//	keys or role ─► (pictures to S3, by choice) ─► CompareFaces ─► best Similarity
//	                          └──── deleted after the call
//
// The client is configured by its [Settings] alone: nothing is read from the
// environment, from shared files or from an instance's metadata. Similarity is
// 0 to 100.
//
// The service answers InvalidParameterException when it finds no face in one
// of the pictures, but does not say in which, and uses the same name for other
// complaints, such as a picture of less than 80 pixels. All of it is reported
// as an answer with Missing [cloud.Unknown].
//
// # Assumptions
//
// No public source settles these; the client relies on them.
//
//   - With a SimilarityThreshold of 0 every compared face is in FaceMatches.
//     Faces that are only in UnmatchedFaces have a similarity of 0.
//   - An answer with a source face and no target face at all says that the
//     target holds none.
//   - An answer without any face is a fault of the service: no face has an
//     exception of its own.
//   - Pictures of more than 5 MiB are refused, under whatever name; none is sent.
//   - Errors of the gateway have a code in __type, code or x-amzn-ErrorType. An
//     unknown code counts by its HTTP status.
//   - An object in S3 may have 15,000,000 bytes.
package rekognition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rekognition"
	"github.com/aws/aws-sdk-go-v2/service/rekognition/types"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
)

// Name is the provider's name.
const Name = "rekognition"

// The usual thresholds, in Similarity, 0 to 100.
const (
	// DefaultAccept is what AWS advises where a match has to be right, with the
	// face on an employee's badge as its example.
	DefaultAccept = 99.0
	// DefaultReject is where the service itself parts FaceMatches from
	// UnmatchedFaces unless told otherwise.
	DefaultReject = 80.0
)

// The most bytes of a picture, in the request and in S3.
const (
	maxBytes  = 5 << 20
	maxObject = 15_000_000
)

const maxAttempts = 3

// Settings say how the service is asked.
type Settings struct {
	HTTP       *http.Client // see [wire.Network]
	Region     string       // such as eu-central-1
	Keys       Keys         // either these
	Role       Role         // or this
	Endpoint   string       // URL of Rekognition; empty: AWS's own in Region
	Attempts   int          // of one request while its time lasts, 1 to 3; 0 means 1
	IDAsSource bool         // the ID is the source, not the live face
	Bucket     Bucket       // zero: the pictures are in the request
	Log        *slog.Logger // hears of pictures that could not be deleted; nil: nobody does
}

// Keys are the files of an access key. They are read for each call. A call that
// reads an old ID and a new key while they are being replaced is refused; the
// next is not.
type Keys struct {
	AccessKeyID     wire.Secret
	SecretAccessKey wire.Secret
	SessionToken    wire.Secret // of a temporary key; empty: none
}

// A Role is assumed with a web identity.
type Role struct {
	ARN       string
	TokenFile wire.Secret // read whenever the role's key is renewed
	Endpoint  string      // URL of STS; empty: AWS's own in the region
}

// A Bucket is where the pictures go for the time of a call, under names that
// can't be guessed. It should have a lifecycle rule that deletes what a power
// cut leaves.
type Bucket struct {
	Name     string
	Prefix   string // of the names, such as kiosk-7/
	Endpoint string // URL of S3, with the bucket in the path; empty: AWS's own in the region
}

// Check reports everything that is wrong with s.
func (s Settings) Check() error {
	var problems []error
	say := func(setting, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: %s", setting, fmt.Sprintf(format, args...)))
	}
	if s.HTTP == nil {
		say("http", "no client (make one from the network's settings)")
	}
	if s.Region == "" || strings.Trim(s.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		say("region", "%q is not an AWS region (such as eu-central-1)", s.Region)
	}
	if s.Attempts < 0 || s.Attempts > maxAttempts {
		say("attempts", "%d is not between 1 and %d", s.Attempts, maxAttempts)
	}
	for _, e := range []struct{ setting, address string }{
		{"endpoint", s.Endpoint}, {"role_endpoint", s.Role.Endpoint}, {"bucket_endpoint", s.Bucket.Endpoint},
	} {
		if e.address == "" {
			continue
		}
		if err := wire.CheckURL(e.address); err != nil {
			say(e.setting, "%v", err)
		}
	}
	s.checkKeys(say)
	if s.Bucket != (Bucket{}) {
		s.Bucket.check(say)
	}
	return errors.Join(problems...)
}

func (s Settings) checkKeys(say func(setting, format string, args ...any)) {
	keys, role := s.Keys != (Keys{}), s.Role != (Role{})
	switch {
	case keys && role:
		say("role_arn", "there is an access key besides (remove one of them)")
	case role:
		if !strings.HasPrefix(s.Role.ARN, "arn:") || !strings.Contains(s.Role.ARN, ":role/") {
			say("role_arn", "%q is not the ARN of a role (arn:aws:iam::123456789012:role/NAME)", s.Role.ARN)
		}
		if s.Role.TokenFile == "" {
			say("role_token_file", "missing (the file that holds the web identity's token)")
		}
	default:
		if s.Keys.AccessKeyID == "" {
			say("access_key_id_file", "missing (or name a role to assume)")
		}
		if s.Keys.SecretAccessKey == "" {
			say("secret_access_key_file", "missing (or name a role to assume)")
		}
	}
}

// A Client asks Rekognition. It implements [cloud.Provider].
type Client struct {
	settings Settings
	faces    *rekognition.Client
	role     *role   // nil with Keys
	bucket   *bucket // nil without a Bucket
}

var _ cloud.Provider = (*Client)(nil)

// New returns a client, or what is wrong with s. Nothing is sent and no file
// read before the first Compare.
func New(s Settings) (*Client, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	retryer := attempts(max(s.Attempts, 1))
	c := &Client{settings: s, faces: rekognition.New(rekognition.Options{
		Region:       s.Region,
		BaseEndpoint: given(s.Endpoint),
		HTTPClient:   s.HTTP,
		Retryer:      retryer,
	})}
	if s.Role != (Role{}) {
		c.role = newRole(s, retryer)
	}
	if s.Bucket != (Bucket{}) {
		c.bucket = newBucket(s, retryer)
	}
	return c, nil
}

// given turns an empty setting into the SDK's word for it.
func given(address string) *string {
	if address == "" {
		return nil
	}
	return &address
}

// Name implements [cloud.Provider].
func (c *Client) Name() string { return Name }

// Close waits until the pictures of all calls are deleted from the bucket, or
// given up after a few seconds. No Compare may run any more.
func (c *Client) Close() error {
	if c.bucket != nil {
		c.bucket.pending.Wait()
	}
	return nil
}

// Compare implements [cloud.Provider].
func (c *Client) Compare(ctx context.Context, q cloud.Question) (cloud.Answer, error) {
	m := &meter{client: c.settings.HTTP}
	answer, err := c.compare(ctx, m, q)
	answer.Sent, answer.Status = m.sent.Load(), int(m.status.Load())
	if err != nil {
		return cloud.Answer{Sent: answer.Sent, Status: answer.Status}, err
	}
	return answer, nil
}

func (c *Client) compare(ctx context.Context, m *meter, q cloud.Question) (cloud.Answer, error) {
	pictures, err := c.pictures(q)
	if err != nil {
		return cloud.Answer{}, &cloud.Failure{Kind: cloud.Rejected, Provider: Name, Err: err}
	}
	key, err := c.key(ctx, m)
	if err != nil {
		return cloud.Answer{}, err
	}
	images := [2]*types.Image{{Bytes: pictures[0]}, {Bytes: pictures[1]}}
	if c.bucket != nil {
		if err := c.bucket.enter(ctx); err != nil {
			return cloud.Answer{}, failure(ctx, m, key, err)
		}
		objects := c.bucket.objects()
		defer c.bucket.remove(ctx, key, objects)
		if err := c.bucket.put(ctx, m, key, objects, pictures); err != nil {
			return cloud.Answer{}, failure(ctx, m, key, err)
		}
		images = [2]*types.Image{c.bucket.image(objects[0]), c.bucket.image(objects[1])}
	}
	out, err := c.faces.CompareFaces(ctx, &rekognition.CompareFacesInput{
		SourceImage:         images[0],
		TargetImage:         images[1],
		SimilarityThreshold: aws.Float32(0), // else faces below 80 come without a score
	}, func(o *rekognition.Options) { o.HTTPClient, o.Credentials = m, key })
	if _, ok := errors.AsType[*types.InvalidParameterException](err); ok {
		return cloud.Answer{Missing: cloud.Unknown}, nil
	}
	if err != nil {
		fault := failure(ctx, m, key, err)
		if c.role != nil && fault.Kind == cloud.Unauthorised {
			c.role.forget(ctx)
		}
		return cloud.Answer{}, fault
	}
	answer, err := read(out, c.targetSide())
	if err != nil {
		return cloud.Answer{}, &cloud.Failure{Kind: cloud.Server, Provider: Name, Status: int(m.status.Load()), Err: err}
	}
	return answer, nil
}

// pictures returns the source and the target, small enough to be sent.
func (c *Client) pictures(q cloud.Question) ([2][]byte, error) {
	limit := maxBytes
	if c.bucket != nil {
		limit = maxObject
	}
	both := [2][]byte{q.Live, q.ID}
	for i, name := range []string{"live", "id"} {
		if len(both[i]) == 0 {
			return both, fmt.Errorf("%s picture is empty", name)
		}
		var err error
		if both[i], err = wire.Fit(both[i], limit); err != nil {
			return both, fmt.Errorf("%s picture: %w", name, err)
		}
	}
	if c.settings.IDAsSource {
		both[0], both[1] = both[1], both[0]
	}
	return both, nil
}

func (c *Client) targetSide() cloud.Side {
	if c.settings.IDAsSource {
		return cloud.Live
	}
	return cloud.ID
}

// read finds the best similarity. The SDK takes almost anything for an answer,
// even an empty one.
func read(out *rekognition.CompareFacesOutput, target cloud.Side) (cloud.Answer, error) {
	best := 0.0
	for _, m := range out.FaceMatches {
		if m.Similarity == nil {
			return cloud.Answer{}, errors.New("face match without similarity")
		}
		similarity := float64(*m.Similarity)
		if math.IsNaN(similarity) || similarity < 0 || similarity > 100 {
			return cloud.Answer{}, fmt.Errorf("similarity %v is not between 0 and 100", similarity)
		}
		best = max(best, similarity)
	}
	switch {
	case len(out.FaceMatches)+len(out.UnmatchedFaces) > 0:
		return cloud.Answer{Score: best}, nil
	case out.SourceImageFace != nil:
		return cloud.Answer{Missing: target}, nil
	}
	return cloud.Answer{}, errors.New("answer holds no face at all")
}
