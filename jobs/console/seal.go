package console

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
)

// box returns what seals errands. The key is the process's own, so an errand
// does not outlive it.
func (c *Console) box() (cipher.AEAD, error) {
	key := sha256.Sum256(append([]byte("errand\x00"), c.key...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (c *Console) seal(e errand) (string, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("seal errand: %w", err)
	}
	box, err := c.box()
	if err != nil {
		return "", fmt.Errorf("seal errand: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(box.Seal(nil, nil, text, nil)), nil
}

// unseal returns the errand that a browser has brought back, or errForm.
func (c *Console) unseal(r *http.Request) (e errand, err error) {
	cookie, err := r.Cookie(c.named(r, "lethe-oidc"))
	if err != nil {
		return e, errForm
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return e, errForm
	}
	box, err := c.box()
	if err != nil {
		return e, err
	}
	text, err := box.Open(nil, nil, sealed, nil)
	if err != nil || json.Unmarshal(text, &e) != nil {
		return e, errForm
	}
	return e, nil
}
