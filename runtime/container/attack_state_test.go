package container

func attackerState(args []string) int { return 2 }
