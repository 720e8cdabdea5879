package argos_test

import (
	"net/http"
	"testing"

	"github.com/facegate/facegate/match/cloud"
	"github.com/facegate/facegate/match/cloud/argos"
	"github.com/facegate/facegate/match/cloud/wire"
	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

const apiKey = "test-key-0123456789"

// The two published shapes, with room for the score.
const (
	deployed = `{"apiType":"compare_face","transactionId":"txn_1","result":{` +
		`"face":{"isAvailable":true,"boundingBox":{"Width":0.42,"Height":0.56,"Left":0.12,"Top":0.23}},` +
		`"faceMatch":{"isAvailable":true,"similarity":%s,"confidence":99.9,"boundingBox":{"Width":0.45,"Height":0.54,"Left":0.13,"Top":0.24},` +
		`"landmarks":[{"Type":"eyeLeft","X":0.1,"Y":0.2}],"pose":{"Roll":0,"Yaw":0,"Pitch":0},"quality":{"Brightness":0,"Sharpness":0}}}}`
	documented = `{"apiType":"compare_face","transactionId":"txn_1","result":{` +
		`"face":{"isAvailable":true,"boundingBox":{"Width":0.42,"Height":0.56,"Left":0.12,"Top":0.23},"confidence":0.98},` +
		`"targetFace":{"isAvailable":true,"boundingBox":{"Width":0.45,"Height":0.54,"Left":0.13,"Top":0.24},"confidence":0.97},` +
		`"similarity":{"score":%s,"threshold":0.8,"isMatch":%t}}}`
)

// at returns a client of the service at an address.
func at(t testing.TB, address string) *argos.Client {
	t.Helper()
	return &argos.Client{HTTP: wiretest.Client(t, wire.Network{}), Key: wire.Secret(wiretest.File(t, apiKey+"\n")), BaseURL: address}
}

// client asks a server of that handler.
func client(t testing.TB, handler http.HandlerFunc) *argos.Client {
	t.Helper()
	return at(t, wiretest.Serve(t, handler).URL)
}

func failureOf(t testing.TB, err error) *cloud.Failure {
	t.Helper()
	return wiretest.Failed(t, err, "argos", apiKey)
}
