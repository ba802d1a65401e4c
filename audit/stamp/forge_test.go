package stamp_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"slices"
	"testing"

	"github.com/digitorus/pkcs7"

	"lethe/audit/proof"
	"lethe/audit/stamp"
)

type attribute = pkcs7.Attribute

// certNamed is the attribute that names certificates by their digests.
func certNamed(t *testing.T, certs ...[]byte) attribute {
	t.Helper()
	type id struct{ Digest []byte }
	var ids []id
	for _, c := range certs {
		sum := sha256.Sum256(c)
		ids = append(ids, id{sum[:]})
	}
	value, err := asn1.Marshal(struct{ IDs []id }{ids})
	if err != nil {
		t.Fatal(err)
	}
	return attribute{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}, Value: asn1.RawValue{FullBytes: value}}
}

// sign makes a token by hand: the authority's key over anything.
func (a *tsa) sign(t *testing.T, content []byte, kind asn1.ObjectIdentifier, signers int, attributes ...attribute) []byte {
	t.Helper()
	data, err := pkcs7.NewSignedData(content)
	if err != nil {
		t.Fatal(err)
	}
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	data.SetContentType(kind)
	for range signers {
		if err := data.AddSigner(a.cert, a.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: slices.Clone(attributes)}); err != nil {
			t.Fatal(err)
		}
	}
	token, err := data.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// The authority's key is good, and what it signed is not a time stamp of the
// kind that counts.
func TestASignatureOverSomethingElseIsNoTimeStamp(t *testing.T) {
	a, other := newTSA(t, nil), newTSA(t, nil)
	good, err := pkcs7.Parse(a.token(t, head, flaw{}))
	if err != nil {
		t.Fatal(err)
	}
	tstInfo := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	own := certNamed(t, a.cert.Raw)
	for name, tt := range map[string]struct {
		token []byte
		want  error
	}{
		"a time stamp":               {a.sign(t, good.Content, tstInfo, 1, own), nil},
		"and a second certificate":   {a.sign(t, good.Content, tstInfo, 1, certNamed(t, a.cert.Raw, other.cert.Raw)), nil},
		"another certificate first":  {a.sign(t, good.Content, tstInfo, 1, certNamed(t, other.cert.Raw, a.cert.Raw)), proof.ErrNotVerified},
		"another certificate":        {a.sign(t, good.Content, tstInfo, 1, certNamed(t, other.cert.Raw)), proof.ErrNotVerified},
		"a list of no certificates":  {a.sign(t, good.Content, tstInfo, 1, certNamed(t)), proof.ErrNotVerified},
		"no certificate":             {a.sign(t, good.Content, tstInfo, 1), proof.ErrNotVerified},
		"data that looks like one":   {a.sign(t, good.Content, pkcs7.OIDData, 1, own), proof.ErrNotVerified},
		"a time stamp and more":      {a.sign(t, append(bytes.Clone(good.Content), 5, 0), tstInfo, 1, own), proof.ErrNotVerified},
		"something that is no stamp": {a.sign(t, []byte{0x30, 0}, tstInfo, 1, own), proof.ErrNotVerified},
		"two signers":                {a.sign(t, good.Content, tstInfo, 2, own), proof.ErrNotVerified},
		"no signer":                  {a.sign(t, good.Content, tstInfo, 0), proof.ErrNotVerified},
	} {
		if _, err := stamp.Check(tt.token, []byte(head), a.roots(t)); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
