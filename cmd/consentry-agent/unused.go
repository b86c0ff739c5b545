package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// unusedEnv says how long a yes for always lasts that is not used: "90d",
// "2160h" or "never". The agent reads it when it starts.
const unusedEnv = "CONSENTRY_UNUSED"

const maxUnusedDays = 36500

// unusedTime is 0 for the default and negative for never. What cannot be read
// is an error: it must not silently become for ever.
func unusedTime(text string) (time.Duration, error) {
	switch text {
	case "":
		return 0, nil
	case "never":
		return -1, nil
	}
	if number, inDays := strings.CutSuffix(text, "d"); inDays {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > maxUnusedDays {
			return 0, fmt.Errorf("%s=%q: want days from 1d to %dd", unusedEnv, text, maxUnusedDays)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s=%q: want a time such as 90d, or never", unusedEnv, text)
	}
	return d, nil
}
