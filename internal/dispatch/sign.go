package dispatch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
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
// The body is read once, some KiB at a time.
func Sign(secrets []pombo.SigningSecret, id string, at time.Time, body Body) (string, error) {
	var macs []hash.Hash
	var all []io.Writer
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
		macs, all = append(macs, mac), append(all, mac)
	}
	if len(macs) == 0 {
		return "", nil
	}
	r, err := body.Open()
	if err != nil {
		return "", fmt.Errorf("reading a body to sign it: %w", err)
	}
	defer r.Close()
	if _, err := io.Copy(io.MultiWriter(all...), r); err != nil {
		return "", fmt.Errorf("reading a body to sign it: %w", err)
	}
	list := make([]string, len(macs))
	for i, mac := range macs {
		list[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(list, " "), nil
}
