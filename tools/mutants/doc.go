// Package mutants plants faults in the code that decides, one at a time, and
// wants the tests of package consent to fail for each.
//
// The long variant (CONSENTRY_LONG=1) plants them all, the short one a few.
package mutants
