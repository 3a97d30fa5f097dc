package release

func entryText(version, distribution string) string {
	return "ferry (" + version + ") " + distribution + "; urgency=medium\n\n  * hull: Paint it.\n\n" +
		" -- Ferry Crew <crew@example.org>  Sun, 22 Nov 2026 09:00:00 +0000\n"
}
