package main

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/internal/conf"
	"inkwell/internal/killpoint"
)

// notOurs are variables that begin with INKWELL_ but are not mistyped flags: those of the tests, and those that
// Kubernetes and Docker set for a service of that name (INKWELL_SERVICE_HOST, INKWELL_PORT_1463_TCP_ADDR).
var notOurs = regexp.MustCompile(`^INKWELL_(TEST_|BENCH_|CHAOS_|SERVICE_|PORT$|PORT_|ENV_|NAME$)`)

// warnOfVariables warns on standard error of variables that begin with INKWELL_ and belong to no flag of any command.
func (a *app) warnOfVariables(root *cobra.Command) {
	if a.environ == nil {
		return
	}
	var known []string
	for _, pair := range a.environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "INKWELL_") || notOurs.MatchString(name) {
			continue
		}
		if known == nil {
			known = variables(root)
		}
		if !slices.Contains(known, name) {
			a.complain(slog.LevelWarn, "inkwell: the variable %s stands for no flag and has no effect%s\n",
				printable(name), nearest(name, known))
		}
	}
}

// variables returns the names of all variables that have an effect.
func variables(root *cobra.Command) []string {
	names := append(killpoint.Variables(), "INKWELL_STATE")
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.PersistentFlags()} {
			flags.VisitAll(func(f *pflag.Flag) { names = append(names, conf.Variable(f.Name)) })
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	slices.Sort(names)
	return slices.Compact(names)
}

// nearest returns ": did you mean …?" with similar names, "" if there are none. It uses cobra's search for similar
// commands.
func nearest(name string, known []string) string {
	words := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		words.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	if near := words.SuggestionsFor(name); len(near) > 0 {
		return fmt.Sprintf(": did you mean %s?", strings.Join(near, " or "))
	}
	return ""
}
