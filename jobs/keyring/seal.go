package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// Seal encrypts plain under key with AES-256-GCM and a random nonce (NIST SP
// 800-38D, section 8.2.2; a key seals far fewer than 2^32 messages). The
// context says what the bytes are and whose, and must be the same to open
// them, so that sealed bytes cannot be moved to another row.
func Seal(key, plain []byte, context string) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, []byte(context)), nil
}

// Unseal reverses Seal. It fails if a byte of sealed or context was changed.
func Unseal(key, sealed []byte, context string) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, []byte(context))
	if err != nil {
		return nil, errors.New("unseal: the bytes or their key are damaged")
	}
	return plain, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("seal: key has %d bytes, want %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
