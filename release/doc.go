// Package release takes a repository to a live, signed apt repository in nine stages with a typed value between each two:
//
//	Version → Changes → Binary → Certified → Package → Signed → Tree → Published → Verified
//
// The parties: git says what is released and is trusted for nothing but that; the go command builds; the conformance
// suite is the judge no stage can go around; the key holder signs what was judged; apt, at the other end, trusts the
// signature alone. Each stage takes only the value before it.
package release
