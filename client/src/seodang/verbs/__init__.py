"""The verbs, by what they are about; importing a module adds its verbs to the command."""
