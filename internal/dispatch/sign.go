package dispatch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"pombo"
)

// secretPrefix begins a symmetric key of the Standard Webhooks specification.
const secretPrefix = "whsec_"

var errSecret = errors.New("a signing secret is not whsec_ and base64")

// Sign returns the value of webhook-signature for one attempt: a signature for each
// secret that is valid at the time at, the first one first; "" without any. It
// signs "id.timestamp.body" by HMAC-SHA256 (Standard Webhooks, "Signature scheme").
func Sign(secrets []pombo.SigningSecret, id string, at time.Time, body []byte) (string, error) {
	var list []string
	for _, s := range secrets {
		if !s.Until.IsZero() && !at.Round(0).Before(s.Until) {
			continue
		}
		encoded, ok := strings.CutPrefix(s.Key, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) == 0 {
			return "", errSecret
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(list, " "), nil
}
