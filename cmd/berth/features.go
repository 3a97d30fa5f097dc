package main

import "github.com/berth-oci/berth/runtime/container"

func featuresVerb() *verb {
	return &verb{
		anyOrder: true,
		summary:  "print what this berth supports, as JSON",
		about: `Namespaces, mount options, capabilities, hooks, cgroups, seccomp and more, in the form of the OCI runtime specification's
features document. It is read from the tables that create itself uses.`,
		run: func(*command, []string) (int, error) {
			f := container.Features()
			if f.Annotations == nil {
				f.Annotations = map[string]string{}
			}
			v, c, _ := versionParts()
			f.Annotations["io.github.berth-oci.berth.version"] = v
			if c != "" {
				f.Annotations["io.github.berth-oci.berth.commit"] = c
			}
			return exitOK, printJSON(f)
		},
	}
}
