package stamp

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"

	"lethe/audit/proof"
)

// Check returns when a token says that head was there. The token must be a time
// stamp over SHA-256 of head (RFC 3161), by a certificate that may stamp times
// alone, was valid then, and leads to one of roots. Errors wrap
// proof.ErrNotVerified.
func Check(token, head []byte, roots *x509.CertPool) (time.Time, error) {
	stamped, err := check(token, head, roots)
	if err != nil {
		return time.Time{}, err
	}
	return stamped.Time.UTC(), nil
}

func check(token, head []byte, roots *x509.CertPool) (*timestamp.Timestamp, error) {
	stamped, err := verify(token, head, roots)
	if err != nil {
		return nil, fmt.Errorf("%w: time stamp: %w", proof.ErrNotVerified, err)
	}
	return stamped, nil
}

// verify says no more than what is wrong: the libraries' errors repeat what the
// token has.
func verify(token, head []byte, roots *x509.CertPool) (*timestamp.Timestamp, error) {
	if roots == nil {
		return nil, errors.New("no root certificates to check it with")
	}
	if len(token) > maxReply {
		return nil, fmt.Errorf("longer than %d bytes", maxReply)
	}
	if !alone(token) {
		return nil, errors.New("not one value in DER")
	}
	signed, err := pkcs7.Parse(token)
	if err != nil {
		return nil, errors.New("not a signed message")
	}
	signer := signed.GetOnlySigner()
	if signer == nil {
		return nil, errors.New("want one signer, and its certificate")
	}
	if err := checkAttributes(signed, signer); err != nil {
		return nil, err
	}
	// This verifies the signature, but for the chain.
	stamped, err := timestamp.Parse(token)
	if err != nil {
		return nil, errors.New("the signature is wrong, or what it signs is no time stamp")
	}
	if !alone(signed.Content) {
		return nil, errors.New("there is more than a time stamp")
	}
	digest := sha256.Sum256(head)
	if stamped.HashAlgorithm != crypto.SHA256 || !bytes.Equal(stamped.HashedMessage, digest[:]) {
		return nil, errors.New("it is not over this head")
	}
	if !stampsAlone(signer) {
		return nil, errors.New("the certificate is not one that stamps times and does nothing else")
	}
	intermediates := x509.NewCertPool()
	for _, c := range signed.Certificates {
		intermediates.AddCert(c)
	}
	if err := signed.VerifyWithOpts(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: stamped.Time,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	}); err != nil {
		return nil, errors.New("the certificate was not valid then, or leads to no known root")
	}
	return stamped, nil
}

// alone reports whether nothing follows a value in DER, which the libraries
// would pass over.
func alone(der []byte) bool {
	var whole asn1.RawValue
	rest, err := asn1.Unmarshal(der, &whole)
	return err == nil && len(rest) == 0
}

// certID is an ESSCertID, or an ESSCertIDv2 (RFC 5035, sections 3 and 4): it
// binds a signature to a certificate and not only to its key. Whose the issuer
// and the serial number are, the digest says.
type certID struct {
	Algorithm pkix.AlgorithmIdentifier `asn1:"optional"`
	Digest    []byte
	Issuer    asn1.RawValue `asn1:"optional"`
}

// checkAttributes checks what is signed beside the time stamp.
func checkAttributes(signed *pkcs7.PKCS7, signer *x509.Certificate) error {
	var (
		tstInfo = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}  // id-ct-TSTInfo
		certV1  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12} // id-aa-signingCertificate
		certV2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47} // id-aa-signingCertificateV2
	)
	if signed.Signers[0].DigestAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmSHA1) {
		return errors.New("signed with SHA-1")
	}
	var content asn1.ObjectIdentifier
	if err := signed.UnmarshalSignedAttribute(pkcs7.OIDAttributeContentType, &content); err != nil || !content.Equal(tstInfo) {
		return errors.New("what is signed is no time stamp")
	}
	var certs struct {
		IDs      []certID
		Policies asn1.RawValue `asn1:"optional"`
	}
	v2 := true
	if err := signed.UnmarshalSignedAttribute(certV2, &certs); err != nil {
		v2 = false
		if err := signed.UnmarshalSignedAttribute(certV1, &certs); err != nil {
			return errors.New("the signature names no certificate")
		}
	}
	// The first is the signer's.
	if len(certs.IDs) == 0 || !bytes.Equal(certs.IDs[0].Digest, certDigest(certs.IDs[0], v2, signer.Raw)) {
		return errors.New("the signature names another certificate")
	}
	return nil
}

// certDigest returns the digest that names a certificate; nil if the algorithm
// is not known.
func certDigest(id certID, v2 bool, cert []byte) []byte {
	h := crypto.SHA256
	switch oid := id.Algorithm.Algorithm; {
	case !v2 && oid == nil:
		h = crypto.SHA1 // RFC 2634 knows no other; the chain is checked without it
	case !v2:
		return nil
	case oid == nil || oid.Equal(pkcs7.OIDDigestAlgorithmSHA256):
	case oid.Equal(pkcs7.OIDDigestAlgorithmSHA384):
		h = crypto.SHA384
	case oid.Equal(pkcs7.OIDDigestAlgorithmSHA512):
		h = crypto.SHA512
	default:
		return nil
	}
	d := h.New()
	d.Write(cert)
	return d.Sum(nil)
}

// stampsAlone reports whether a certificate has the one extended key usage,
// critical, that RFC 3161, section 2.3 asks for.
func stampsAlone(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(c.UnknownExtKeyUsage) > 0 {
		return false
	}
	oid := asn1.ObjectIdentifier{2, 5, 29, 37} // id-ce-extKeyUsage
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oid) && e.Critical })
}
