"""The command `dicomloom`: one module a command, listed in `main.COMMANDS`."""
