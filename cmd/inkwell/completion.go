package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagValues are the values that a shell completes for a flag, whatever its command. A flag that is not listed takes
// free text.
var flagValues = map[string][]cobra.Completion{
	"log-level":    {"debug", "info", "warn", "error"},
	"log-format":   {"text", "json"},
	"compress":     {"gzip", "zstd", "none"},
	"rotate":       {"daily", "hourly", "never", "15m"},
	"durability":   {"sync", "write", "memory"},
	"add-newlines": {"never", "always", "if-missing"},
	"when-full":    {"block", "drop"},
	"from":         {"start", "end"},
	"encoding":     {"auto", "utf-8", "utf-16le", "utf-16be"},
	"to":           {"localhost:1463"},
	"listen":       {"127.0.0.1:1463", "0.0.0.0:1463", "tls://0.0.0.0:1464"},
	"since":        {"24h", "7d"},
	"keep":         {"7d", "30d", "365d"},
	"max-size":     {"256MiB", "1GB"},
}

// formats are the values of --format, which differ between commands.
var formats = map[string][]cobra.Completion{
	"forward": {"auto", "cri", "docker", "none"},
	"health":  {"nagios", "json"},
	"cat":     lineFormats, "grep": lineFormats, "stats": lineFormats, "convert": lineFormats,
}

// lineFormats are the formats in which lines can be read.
var lineFormats = []cobra.Completion{"combined", "common", "json", "logfmt", "syslog", "regexp="}

// flagDirs are the flags that take a directory. Apart from these, --config and the TLS files, no flag takes a file
// name.
var flagDirs = map[string]bool{"dir": true, "state": true, "spool": true}

// flagFiles are the flags that take a file with one of the endings.
var flagFiles = map[string][]string{
	"config":   {"conf"},
	"tls-cert": {"pem", "crt"}, "tls-key": {"pem", "key"}, "tls-ca": {"pem", "crt"},
}

// completion prints the script of a shell.
func (a *app) completion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a script with which a shell completes commands and flags",
		Long: `completion prints a script for a shell. When the shell has read it, the Tab key completes commands, flags and
the values of flags. The packages install it for all three shells.`,
		Example: `  inkwell completion bash > /etc/bash_completion.d/inkwell
  inkwell completion zsh > /usr/local/share/zsh/site-functions/_inkwell
  inkwell completion fish > ~/.config/fish/completions/inkwell.fish
  source <(inkwell completion bash)     # for the current shell only`,
		Args:      exactly("bash, zsh or fish"),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(a.stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(a.stdout, true)
			}
			return usageError{fmt.Errorf("no completion for the shell %q: want bash, zsh or fish", args[0])}
		},
	}
}

// completes adds the completion of flag values to cmd and to all commands below it.
func completes(cmd *cobra.Command) {
	flags := func(f *pflag.Flag) {
		values := flagValues[f.Name]
		if f.Name == "format" {
			values = formats[cmd.Name()]
		}
		var err error
		switch {
		case values != nil:
			err = cmd.RegisterFlagCompletionFunc(f.Name,
				cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		case flagDirs[f.Name]:
			err = cmd.MarkFlagDirname(f.Name)
		case flagFiles[f.Name] != nil:
			err = cmd.MarkFlagFilename(f.Name, flagFiles[f.Name]...)
		case f.Name != "log-file" && f.NoOptDefVal == "":
			err = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
		if err != nil {
			panic(err) // two completions of one flag: a mistake of the program
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(flags)
	cmd.PersistentFlags().VisitAll(flags)
	if len(cmd.Commands()) == 0 && cmd.ValidArgsFunction == nil && cmd.ValidArgs == nil {
		cmd.ValidArgsFunction = argumentsOf(cmd.Name())
	}
	for _, sub := range cmd.Commands() {
		completes(sub)
	}
}

// argumentsOf returns what a shell completes for the arguments of a command: directories, configurations, files, or
// nothing.
func argumentsOf(name string) cobra.CompletionFunc {
	only := func(d cobra.ShellCompDirective, endings ...cobra.Completion) cobra.CompletionFunc {
		return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return endings, d
		}
	}
	switch name {
	case "check":
		return only(cobra.ShellCompDirectiveFilterFileExt, "conf")
	case "ls", "verify", "repair", "export", "man":
		return only(cobra.ShellCompDirectiveFilterDirs)
	case "cat", "audit", "grep", "rotatelogs", "status", "watch", "top", "health", "counters", "name", "alive", "stop",
		"reload":
		return only(cobra.ShellCompDirectiveDefault)
	}
	return only(cobra.ShellCompDirectiveNoFileComp)
}
