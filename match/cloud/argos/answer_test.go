package argos_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/facegate/facegate/match/cloud/wire/wiretest"
)

func TestUnreadableAnswersAreNoScore(t *testing.T) {
	for name, body := range map[string]string{
		"empty":                       ``,
		"null":                        `null`,
		"list":                        `[]`,
		"no members":                  `{}`,
		"promise without a callback":  `{"apiType":"compare_face","transactionId":"txn_1"}`,
		"no result":                   `{"apiType":"compare_face","transactionId":null,"result":null}`,
		"empty result":                `{"result":{}}`,
		"no target":                   `{"result":{"face":{"isAvailable":true}}}`,
		"no origin":                   `{"result":{"faceMatch":{"isAvailable":true,"similarity":99}}}`,
		"unknown whether a face":      `{"result":{"face":{},"faceMatch":{"isAvailable":true,"similarity":99}}}`,
		"face is text":                `{"result":{"face":{"isAvailable":"yes"},"faceMatch":{"isAvailable":"yes","similarity":99}}}`,
		"no similarity":               `{"result":{"face":{"isAvailable":true},"faceMatch":{"isAvailable":true}}}`,
		"no score":                    `{"result":{"face":{"isAvailable":true},"targetFace":{"isAvailable":true},"similarity":{"isMatch":true,"threshold":0.8}}}`,
		"score without its member":    `{"result":{"face":{"isAvailable":true},"targetFace":{"isAvailable":true,"similarity":99}}}`,
		"similarity is text":          fmt.Sprintf(deployed, `"99.1"`),
		"similarity is null":          fmt.Sprintf(deployed, `null`),
		"similarity is not a number":  fmt.Sprintf(deployed, `NaN`),
		"similarity is too high":      fmt.Sprintf(deployed, `9910`),
		"similarity is a little more": fmt.Sprintf(deployed, `100.00001`),
		"similarity is too low":       fmt.Sprintf(deployed, `-0.1`),
		"similarity is huge":          fmt.Sprintf(deployed, `1e400`),
		"exponent is huge":            fmt.Sprintf(documented, `1e99999999999999999999`, true),
		"exponent overflows":          fmt.Sprintf(documented, `1e2147483647`, true),
		"exponent overflows 32 bits":  fmt.Sprintf(documented, `1e2147483647`, false),
		"score is too high":           fmt.Sprintf(documented, `1.01`, true),
		"score of the other scale":    fmt.Sprintf(documented, `85.4`, true),
		"verdict contradicts":         fmt.Sprintf(documented, `0.9`, false),
		"verdict contradicts, low":    fmt.Sprintf(documented, `0.7999`, true),
		"threshold of another scale":  strings.Replace(fmt.Sprintf(documented, "0.97", false), "0.8", "80", 1),
		"threshold is too high":       strings.Replace(fmt.Sprintf(documented, "0.97", false), "0.8", "1.01", 1),
		"threshold is 0":              strings.Replace(fmt.Sprintf(documented, "0.97", true), "0.8", "0", 1),
		"threshold is negative":       strings.Replace(fmt.Sprintf(documented, "0.97", true), "0.8", "-0.8", 1),
		"threshold is text":           strings.Replace(fmt.Sprintf(documented, "0.97", true), "0.8", `"0.8"`, 1),
		"no threshold":                strings.Replace(fmt.Sprintf(documented, "0.97", false), `"threshold":0.8,`, "", 1),
		"no threshold, match":         strings.Replace(fmt.Sprintf(documented, "0.97", true), `"threshold":0.8,`, "", 1),
		"threshold is null":           strings.Replace(fmt.Sprintf(documented, "0.97", false), "0.8", "null", 1),
		"no isMatch":                  strings.Replace(fmt.Sprintf(documented, "0.97", true), `,"isMatch":true`, "", 1),
		"isMatch is null":             strings.Replace(fmt.Sprintf(documented, "0.97", true), "true}}}", "null}}}", 1),
		"match without a face":        `{"result":{"face":{"isAvailable":false},"targetFace":{"isAvailable":true},"similarity":{"score":0,"threshold":0.8,"isMatch":true}}}`,
		"two shapes":                  `{"result":{"face":{"isAvailable":true},"faceMatch":{"isAvailable":true,"similarity":99},"targetFace":{"isAvailable":true},"similarity":{"score":0.1}}}`,
		"likeness to no face":         `{"result":{"face":{"isAvailable":false},"faceMatch":{"isAvailable":true,"similarity":99}}}`,
		"another interface":           `{"apiType":"id_live_doc","result":{"face":{"isAvailable":true},"faceMatch":{"isAvailable":true,"similarity":99}}}`,
		"a status that is a failure":  strings.Replace(fmt.Sprintf(deployed, "99"), "{", `{"statusCode":500,`, 1),
		"errorCode is text":           strings.Replace(fmt.Sprintf(deployed, "99"), "{", `{"errorCode":"1003",`, 1),
		"truncated":                   fmt.Sprintf(deployed, "99")[:250],
		"web page":                    `<html><body>Welcome</body></html>`,
		"something behind":            fmt.Sprintf(deployed, "99") + "{}",
		"huge":                        fmt.Sprintf(deployed, "99") + strings.Repeat(" ", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := wiretest.Ask(t, client(t, wiretest.Say(200, body)))
			if err == nil {
				t.Fatalf("answer %+v", answer)
			}
			wiretest.CheckNoScore(t, answer, failureOf(t, err))
		})
	}
}
