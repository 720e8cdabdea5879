package deepidv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/wire"
)

// The paths and types of the wire.
const (
	comparePath = "/v1/face/compare"
	presignPath = "/v1/upload/presign"
	jsonType    = "application/json"
	jpegType    = "image/jpeg"
	maxFileKey  = 1024 // bytes, what S3 allows
)

// A call is one comparison, which may take several requests.
type call struct {
	client *Client
	key    string
	took   cloud.Answer // Sent and Status so far
}

// compare sends both pictures, source and target, and returns the answer of
// status 200.
func (k *call) compare(ctx context.Context, pictures [2][]byte) (wire.Response, error) {
	var body []byte
	contentType := jsonType
	var err error
	switch k.client.Send {
	case JSON:
		body, err = json.Marshal(pair[[]byte]{pictures[0], pictures[1]})
	case Presigned:
		var keys [2]string
		if keys, err = k.upload(ctx, pictures); err != nil {
			return wire.Response{}, err
		}
		body, err = json.Marshal(pair[string]{keys[0], keys[1]})
	default:
		body, contentType, err = form(pictures)
	}
	if err != nil {
		return wire.Response{}, &cloud.Failure{Kind: cloud.Rejected, Provider: Name, Err: err}
	}
	response, err := k.post(ctx, comparePath, contentType, body)
	if err == nil && response.Status != http.StatusOK {
		err = k.refusal(response)
	}
	return response, err
}

// A pair is the JSON body of a comparison: pictures, which become base64, or
// keys of the store.
type pair[T []byte | string] struct {
	Source T `json:"source"`
	Target T `json:"target"`
}

// form returns the pictures as files of a form, and its Content-Type.
func form(pictures [2][]byte) (body []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i, name := range []string{"source", "target"} {
		part, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {multipart.FileContentDisposition(name, name+".jpg")},
			"Content-Type":        {jpegType},
		})
		if err != nil {
			return nil, "", err
		}
		if _, err := part.Write(pictures[i]); err != nil {
			return nil, "", err
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), w.FormDataContentType(), nil
}

// upload brings the pictures to the store and returns their keys there.
func (k *call) upload(ctx context.Context, pictures [2][]byte) (keys [2]string, err error) {
	places, err := k.presign(ctx, pictures)
	if err != nil {
		return keys, err
	}
	for i, place := range places {
		if err := k.put(ctx, place.UploadURL, pictures[i]); err != nil {
			return keys, err
		}
		keys[i] = place.FileKey
	}
	return keys, nil
}

// A file is what the service is told of a picture before it is uploaded.
type file struct {
	ContentType string `json:"contentType"`
	ByteLength  int    `json:"byteLength"`
}

// A place is where a picture is to be uploaded, and its key from then on.
type place struct {
	UploadURL string `json:"uploadUrl"`
	FileKey   string `json:"fileKey"`
}

// presign asks for a place for each picture.
func (k *call) presign(ctx context.Context, pictures [2][]byte) ([]place, error) {
	body, err := json.Marshal(map[string][]file{"files": {
		{jpegType, len(pictures[0])},
		{jpegType, len(pictures[1])},
	}})
	if err != nil {
		return nil, &cloud.Failure{Kind: cloud.Rejected, Provider: Name, Err: err}
	}
	response, err := k.post(ctx, presignPath, jsonType, body)
	if err != nil {
		return nil, err
	}
	if response.Status/100 != 2 {
		return nil, k.refusal(response)
	}
	places, err := readPlaces(response.Body, k.client.base())
	if err != nil {
		return nil, response.Failure(Name, cloud.Server, wire.Excerpt(err.Error(), k.key))
	}
	return places, nil
}

// readPlaces reads the answer to a presign request of two files. Its errors
// hold no address: it is signed.
func readPlaces(body []byte, base string) ([]place, error) {
	var answer struct {
		Uploads []place `json:"uploads"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("answer to presign is not the JSON expected: %w", err)
	}
	if len(answer.Uploads) != 2 {
		return nil, errors.New("answer to presign has not two uploads")
	}
	for _, p := range answer.Uploads {
		if p.FileKey == "" || len(p.FileKey) > maxFileKey {
			return nil, errors.New("answer to presign has no usable fileKey")
		}
		if !storeAllowed(p.UploadURL, base) {
			return nil, errors.New("answer to presign has an uploadUrl that is not https://")
		}
	}
	return answer.Uploads, nil
}

// storeAllowed reports whether a picture may be sent to an address that the
// service gave: over https://, or within this machine if the service is there
// too.
func storeAllowed(address, base string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	if u.Scheme == "https" {
		return true
	}
	b, err := url.Parse(base)
	return err == nil && b.Scheme == "http" && wire.CheckURL(u.Scheme+"://"+u.Host) == nil
}

// put uploads one picture. What the store says when it refuses is not shown:
// it quotes signatures.
func (k *call) put(ctx context.Context, address string, picture []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, address, bytes.NewReader(picture))
	if err != nil {
		return &cloud.Failure{Kind: cloud.Server, Provider: Name, Err: errors.New("uploadUrl is unusable")}
	}
	r.Header.Set("Content-Type", jpegType)
	response, err := k.exchange(r)
	if err != nil || response.Status/100 == 2 {
		return err
	}
	kind := cloud.Server
	if response.Status == http.StatusRequestTimeout {
		kind = cloud.Network
	}
	return response.Failure(Name, kind, "the store refused an upload")
}

// post sends a body to the service, with the key.
func (k *call) post(ctx context.Context, path, contentType string, body []byte) (wire.Response, error) {
	r, err := wire.Post(ctx, k.client.base(), path, contentType, body)
	if err != nil {
		return wire.Response{}, &cloud.Failure{Kind: cloud.Server, Provider: Name, Err: err}
	}
	r.Header.Set("x-api-key", k.key)
	return k.exchange(r)
}

func (k *call) exchange(r *http.Request) (wire.Response, error) {
	response, err := wire.Exchange(k.client.HTTP, Name, r, k.key)
	k.took.Sent += response.Sent
	k.took.Status = response.Status
	return response, err
}

// refusal returns the failure that another status than the one hoped for
// means.
func (k *call) refusal(r wire.Response) error {
	return r.Failure(Name, wire.Kind(r.Status), complaint(r.Body, k.key))
}
