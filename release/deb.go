package release

import "errors"

// Packing is everything besides the binaries that packages are made from.
type Packing struct {
	Repo    string  // top of the work tree: release/debian below it says what goes where
	Out     string  // folder that gets the .deb files, made where it is missing
	Version Version // the version of every package
	Changes Changes
	Keyring []byte // public key of the archive, binary OpenPGP, for the keyring package
	URL     string // where the repository will be served, for the example of a .sources file
	Suite   string // the suite that example names
}

// Pack makes the packages of release/debian/control: one per architecture of the binaries, and the Architecture: all ones
// once. The result is ordered by name, then architecture; the same input gives the same bytes.
func Pack(p Packing, binaries ...Certified) ([]Package, error) {
	return nil, errors.New("cannot pack: not built yet")
}
