package release

type binary = Binary

// Certified is a Binary that passed conformance and the leak check. Only a Certified can become a Package: its one field
// cannot be set outside this package, and certify alone sets it within.
type Certified struct {
	binary
}
