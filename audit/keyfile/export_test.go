package keyfile

import (
	"crypto/ed25519"
	"time"
)

// Stopping returns f with a function that takes each step on disk.
func (f File) Stopping(step func(name string, do func() error) error) File {
	f.step = step
	return f
}

// Waiting returns f with other patience and another clock.
func (f File) Waiting(wait time.Duration, now func() time.Time) File {
	f.wait, f.now = wait, now
	return f
}

// Spelling parses a key file's line and writes it anew.
func Spelling(text string) (string, error) {
	k, err := File{}.parse(text)
	if err != nil {
		return "", err
	}
	if f, ok := k.Signer.(fileKey); ok {
		return privateText(k.Origin, f.private()), nil
	}
	public := k.Signer.Public().(ed25519.PublicKey)
	return newText(k.Origin, public)
}
