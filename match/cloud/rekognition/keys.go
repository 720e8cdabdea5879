package rekognition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/facegate/facegate/match/cloud"
)

// renewBefore is how long before its end a role's key is no longer used.
const renewBefore = 5 * time.Minute

// A key signs requests. It implements [aws.CredentialsProvider].
type key struct{ aws.Credentials }

// Retrieve implements [aws.CredentialsProvider].
func (k key) Retrieve(context.Context) (aws.Credentials, error) { return k.Credentials, nil }

// secrets returns what must not be shown; some may be empty.
func (k key) secrets() []string { return []string{k.AccessKeyID, k.SecretAccessKey, k.SessionToken} }

// key returns the key for one call. An error is a *cloud.Failure.
func (c *Client) key(ctx context.Context, m *meter) (key, error) {
	if c.role != nil {
		return c.role.key(ctx, m)
	}
	k, err := c.settings.Keys.read()
	if err != nil {
		return key{}, &cloud.Failure{Kind: cloud.Unauthorised, Provider: Name, Err: err}
	}
	return k, nil
}

func (k Keys) read() (key, error) {
	id, err := k.AccessKeyID.Read()
	if err != nil {
		return key{}, fmt.Errorf("access key id: %w", err)
	}
	secret, err := k.SecretAccessKey.Read()
	if err != nil {
		return key{}, fmt.Errorf("secret access key: %w", err)
	}
	token := ""
	if k.SessionToken != "" {
		if token, err = k.SessionToken.Read(); err != nil {
			return key{}, fmt.Errorf("session token: %w", err)
		}
	}
	return key{aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}}, nil
}

// A role holds the key of an assumed role. The SDK's own cache is not used: it
// renews in a goroutine that outlives the call.
type role struct {
	settings Role
	sts      *sts.Client

	// turn is held, by a value in it, while the following is used.
	turn    chan struct{}
	current aws.Credentials
}

func newRole(s Settings, retryer aws.Retryer) *role {
	return &role{
		settings: s.Role,
		turn:     make(chan struct{}, 1),
		sts: sts.New(sts.Options{
			Region:       s.Region,
			BaseEndpoint: given(s.Role.Endpoint),
			HTTPClient:   s.HTTP,
			Retryer:      retryer,
		}),
	}
}

func (r *role) key(ctx context.Context, m *meter) (key, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return key{}, failure(ctx, m, key{}, ctx.Err())
	}
	if time.Until(r.current.Expires) > renewBefore {
		return key{r.current}, nil
	}
	token, err := r.settings.TokenFile.Read()
	if err != nil {
		return key{}, &cloud.Failure{Kind: cloud.Unauthorised, Provider: Name, Err: fmt.Errorf("web identity: %w", err)}
	}
	out, err := r.sts.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          &r.settings.ARN,
		RoleSessionName:  aws.String("facegate"),
		WebIdentityToken: &token,
	}, func(o *sts.Options) { o.HTTPClient = m })
	if err != nil {
		return key{}, failure(ctx, m, key{aws.Credentials{SessionToken: token}}, err)
	}
	k := out.Credentials
	if k == nil || k.Expiration == nil || aws.ToString(k.AccessKeyId) == "" || aws.ToString(k.SecretAccessKey) == "" || aws.ToString(k.SessionToken) == "" {
		return key{}, &cloud.Failure{
			Kind: cloud.Server, Provider: Name, Status: int(m.status.Load()), Err: errors.New("assume role: answer holds no key"),
		}
	}
	r.current = aws.Credentials{
		AccessKeyID: *k.AccessKeyId, SecretAccessKey: *k.SecretAccessKey, SessionToken: *k.SessionToken,
		CanExpire: true, Expires: *k.Expiration,
	}
	return key{r.current}, nil
}

// forget drops a key that was refused, so that the next call asks for another.
func (r *role) forget(ctx context.Context) {
	select {
	case r.turn <- struct{}{}:
		r.current = aws.Credentials{}
		<-r.turn
	case <-ctx.Done():
	}
}
