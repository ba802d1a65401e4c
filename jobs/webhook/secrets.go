package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Sizes of a secret, in bytes.
const (
	minSecret  = 24
	maxSecret  = 64
	maxSecrets = 4
)

// Secrets sign notices, each for itself: while one is replaced, receivers that
// know the old one or the new one can both check. They are never printed.
type Secrets [][]byte

// Format keeps secrets out of formatted text.
func (Secrets) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// ParseSecrets reads one secret a line: whsec_ and the base64 of 24 to 64 bytes.
// Its error does not repeat them.
func ParseSecrets(text string) (Secrets, error) {
	var list Secrets
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		encoded, ok := strings.CutPrefix(line, "whsec_")
		b, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(b) < minSecret || len(b) > maxSecret {
			return nil, errors.New(`each line must be whsec_ and the base64 of 24 to 64 random bytes: echo "whsec_$(openssl rand -base64 32)" makes one`)
		}
		list = append(list, b)
	}
	if len(list) == 0 || len(list) > maxSecrets {
		return nil, fmt.Errorf(`must have 1 to %d lines, each a secret: echo "whsec_$(openssl rand -base64 32)" makes one`, maxSecrets)
	}
	return list, nil
}

// Sign returns the value of webhook-signature.
func (s Secrets) Sign(id string, at time.Time, body []byte) string {
	var signatures []string
	for _, secret := range s {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " ")
}
