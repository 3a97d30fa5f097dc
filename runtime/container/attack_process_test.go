package container

func attackerProcess(args []string) int { return 2 }
