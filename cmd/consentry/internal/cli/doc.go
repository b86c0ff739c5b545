// Package cli is the command line of Consentry: it reads flags, calls the
// agent through its client, and shows what comes back.
//
// It promises that a question is shown in our own words with the app's quoted,
// that nothing typed before or within a second of its appearing answers it,
// that there is no default answer, and that the terminal is put back as it
// was. It decides nothing itself: every verdict is the agent's.
//
// The exit code of run, exec, attach and start -a is the app's; 125 is an
// error of ours, 126 and 127 a command that cannot be run or is not there, as
// docker has it. Every other command ends with 0 or 1.
package cli
