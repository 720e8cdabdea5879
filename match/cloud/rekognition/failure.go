package rekognition

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
)

// kind says what an error code of Rekognition, STS or S3 means. Anything else
// counts by its HTTP status. The text beside a code is for people and changes.
func kind(code string, status int) cloud.Kind {
	switch strings.TrimSuffix(code, "Exception") {
	case "Throttling", "Throttled", "RequestThrottled", "TooManyRequests", "ProvisionedThroughputExceeded",
		"RequestLimitExceeded", "SlowDown", "BandwidthLimitExceeded":
		return cloud.Throttled
	case "AccessDenied", "UnrecognizedClient", "InvalidSignature", "SignatureDoesNotMatch", "IncompleteSignature",
		"MissingAuthenticationToken", "InvalidClientTokenId", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken",
		"TokenRefreshRequired", "RequestExpired", "RequestTimeTooSkewed", "NotAuthorized", "OptInRequired",
		"SubscriptionRequired", "InvalidIdentityToken", "IDPRejectedClaim":
		return cloud.Unauthorised
	case "LimitExceeded", "ServiceQuotaExceeded":
		return cloud.Quota
	case "InvalidImageFormat", "ImageTooLarge", "InvalidS3Object", "Validation":
		return cloud.Rejected
	case "InternalServerError", "InternalError", "InternalFailure", "ServiceUnavailable", "IDPCommunicationError":
		return cloud.Server
	case "RequestTimeout":
		return cloud.Network
	}
	return wire.Kind(status)
}

// failure says in our words what the SDK says in its own, without the URL and
// without anything that is secret.
func failure(ctx context.Context, m *meter, k key, err error) *cloud.Failure {
	f := &cloud.Failure{Kind: cloud.Network, Provider: Name, Status: int(m.status.Load())}
	if ctx.Err() != nil {
		f.Err = context.Cause(ctx)
		return f
	}
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		f.Status = e.HTTPStatusCode() // of two uploads the one that failed
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		f.Kind = kind(e.ErrorCode(), f.Status)
		f.RetryAfter = time.Duration(m.pause.Load())
		f.Err = errors.New(text(e, f.Kind, k))
		return f
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		f.Err = wire.Reason(ctx, err, k.secrets()...)
		return f
	}
	switch {
	case m.cut.Load():
		f.Err = errors.New("answer was cut off")
	case errors.Is(err, errLong):
		f.Kind, f.Err = cloud.Server, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	case f.Status >= 300:
		f.Kind, f.Err = wire.Kind(f.Status), errors.New("answer has no error code")
		f.RetryAfter = time.Duration(m.pause.Load())
	default:
		f.Kind, f.Err = cloud.Server, errors.New("answer is not understood")
	}
	return f
}

// text quotes a code and its message. The message to a bad signature repeats
// what was signed, with the session token; that to a denied access names what
// has to be allowed.
func text(e smithy.APIError, kind cloud.Kind, k key) string {
	said := e.ErrorCode()
	if message := e.ErrorMessage(); message != "" && (kind != cloud.Unauthorised || strings.HasPrefix(said, "AccessDenied")) {
		said += ": " + message
	}
	return wire.Excerpt(said, k.secrets()...)
}
