package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/berth-oci/berth/conformance"
)

func listVerb(_ context.Context, args []string) error {
	set := newFlagSet("list", "conform list [options]", "")
	filter := set.String("filter", "", "list only checks whose name matches `REGEXP`")
	format := set.String("format", "text", "`FORMAT`: text or json")
	if err := parse(set, args); err != nil {
		return err
	}
	suite, err := conformance.All().Filter(*filter)
	if err != nil {
		return usageError{err.Error()}
	}
	switch *format {
	case "json":
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(suite)
	case "text":
		return listText(suite)
	}
	return usageError{fmt.Sprintf("unknown format %q; the formats are text, json", *format)}
}

func listText(suite conformance.Suite) error {
	for _, check := range suite {
		strict := ""
		if check.Strict {
			strict = " (strict)"
		}
		if _, err := fmt.Printf("%s%s\n    %s %s\n", check.Name, strict, check.Clause.Level, check.Clause); err != nil {
			return err
		}
	}
	return nil
}
