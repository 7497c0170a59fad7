package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// unknownCommand returns the error for a word that is not the name of a subcommand. It suggests similar names, or all
// of them if there are few.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = min(max(len(args[0])/3, 1), 2) // of three letters, two are more than a slip
	err := fmt.Errorf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))
	}
	if names := subcommands(cmd); len(names) <= 8 {
		return fmt.Errorf("%w: want %s", err, strings.Join(names, ", "))
	}
	return err
}

// subcommands returns the names of the commands that the help shows.
func subcommands(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// mistyped finds a mistyped subcommand before cobra parses the flags. 'colect --dir x' is a mistyped command and not an
// unknown flag, and 'foo --help' does not ask for the help of inkwell.
func mistyped(root *cobra.Command, args []string) (*cobra.Command, error) {
	cmd, rest, err := root.Find(args)
	if err != nil || !cmd.HasAvailableSubCommands() {
		return root, nil // cobra reports it, or there is no word to check
	}
	word := firstWord(rest, cmd.Flags(), cmd.InheritedFlags(), cmd.PersistentFlags())
	if word == "" || strings.HasPrefix(word, "__") { // called by the completion of a shell
		return cmd, nil
	}
	return cmd, unknownCommand(cmd, []string{word})
}

// firstWord returns the first argument that is neither a flag nor the value of one. The word after an unknown flag
// counts as its value.
func firstWord(args []string, known ...*pflag.FlagSet) string {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return ""
		case !strings.HasPrefix(arg, "-") || arg == "-":
			return arg
		case !strings.Contains(arg, "=") && takesValue(strings.TrimLeft(arg, "-"), known):
			i++
		}
	}
	return ""
}

// takesValue reports whether a flag is followed by its value.
func takesValue(name string, known []*pflag.FlagSet) bool {
	if name == "help" || name == "h" || name == "version" || name == "v" {
		return false
	}
	for _, flags := range known {
		f := flags.Lookup(name)
		if f == nil && len(name) == 1 {
			f = flags.ShorthandLookup(name)
		}
		if f != nil {
			return f.NoOptDefVal == ""
		}
	}
	return true
}

// help is cobra's help command, except that it fails for unknown commands.
func (a *app) help() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND...]",
		Short:   "explain a command",
		Example: "  inkwell help spool verify",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			about, rest, err := root.Find(args)
			switch {
			case err != nil:
				return usageError{err}
			case len(rest) > 0 && about.HasAvailableSubCommands():
				return usageError{unknownCommand(about, rest)}
			case len(rest) > 0:
				return usagef("%q has no command %q", about.CommandPath(), rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string,
			_ cobra.ShellCompDirective) {
			if about, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				names = subcommands(about)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
