// Prints, for each program, the best time of one slice in nanoseconds.
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned (*program)(unsigned);

static unsigned char sieve[1 << 16];
static unsigned primes(unsigned n) {
	unsigned count = 0;
	memset(sieve, 1, n);
	for (unsigned i = 2; i < n; i++) {
		if (!sieve[i]) continue;
		count++;
		for (unsigned j = 2 * i; j < n; j += i) sieve[j] = 0;
	}
	return count;
}

static unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static double a[64][64], b[64][64], c[64][64];
static unsigned matrix(unsigned n) {
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++) a[i][j] = i + j, b[i][j] = i - (double)j;
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++) {
			double s = 0;
			for (unsigned k = 0; k < n; k++) s += a[i][k] * b[k][j];
			c[i][j] = s;
		}
	return (unsigned)(int)c[n / 2][n / 3];
}

static unsigned crc(unsigned n) {
	static uint32_t table[256];
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;
		for (int k = 0; k < 8; k++) v = v & 1 ? v >> 1 ^ 0xedb88320u : v >> 1;
		table[i] = v;
	}
	uint32_t v = ~0u;
	for (unsigned i = 0; i < n; i++) v = v >> 8 ^ table[(v ^ i) & 255];
	return ~v;
}

static int compare(const void *x, const void *y) {
	uint32_t p = *(const uint32_t *)x, q = *(const uint32_t *)y;
	return p < q ? -1 : p > q;
}
static unsigned sort(unsigned n) {
	static uint32_t v[1 << 14];
	uint32_t s = 1;
	for (unsigned i = 0; i < n; i++) v[i] = s = s * 1664525 + 1013904223;
	qsort(v, n, sizeof *v, compare);
	return v[n / 2];
}

static unsigned mandelbrot(unsigned n) {
	unsigned total = 0;
	for (unsigned y = 0; y < n; y++)
		for (unsigned x = 0; x < n; x++) {
			double cr = 2.0 * x / n - 1.5, ci = 2.0 * y / n - 1, r = 0, i = 0;
			unsigned k = 0;
			for (; k < 50 && r * r + i * i < 4; k++) { double t = r * r - i * i + cr; i = 2 * r * i + ci; r = t; }
			total += k;
		}
	return total;
}

struct node { struct node *left, *right; };
static struct node *tree(unsigned depth) {
	struct node *n = malloc(sizeof *n);
	n->left = depth ? tree(depth - 1) : 0;
	n->right = depth ? tree(depth - 1) : 0;
	return n;
}
static unsigned fell(struct node *n) {
	if (!n) return 0;
	unsigned k = 1 + fell(n->left) + fell(n->right);
	free(n);
	return k;
}
static unsigned trees(unsigned n) { return fell(tree(n)); }

// A small interpreter: a branch table and indirect calls, as languages have.
static unsigned add(unsigned x) { return x + 7; }
static unsigned mix(unsigned x) { return x * 31 ^ x >> 3; }
static unsigned interpret(unsigned n) {
	static const program calls[] = {add, mix};
	static const unsigned char code[] = {0, 1, 2, 5, 3, 1, 4, 6, 2, 0, 5, 3};
	unsigned x = 1, y = 2;
	for (unsigned i = 0; i < n; i++)
		switch (code[i % sizeof code]) {
		case 0: x += y; break;
		case 1: y ^= x; break;
		case 2: x = x << 3 | x >> 29; break;
		case 3: y -= i; break;
		case 4: x *= 3; break;
		case 5: x = calls[i & 1](x); break;
		case 6: y = y ? y : 1; break;
		}
	return x ^ y;
}

static unsigned strings(unsigned n) {
	static char text[1 << 14];
	unsigned words = 0;
	for (unsigned i = 0; i + 1 < n; i++) text[i] = i * 7 % 29 < 3 ? ' ' : 'a' + i % 26;
	text[n - 1] = 0;
	for (char *p = text; *p; p++) words += *p == ' ' && p[1] != ' ';
	return words + strlen(text) + (strchr(text, '!') != 0);
}

static unsigned hostcalls(unsigned n) {
	struct timespec t;
	for (unsigned i = 0; i < n; i++) clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned)t.tv_nsec;
}

static unsigned yields(unsigned n) {
	for (unsigned i = 0; i < n; i++) sched_yield();
	return n;
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(void) {
	static const struct { const char *name; program run; unsigned n; } all[] = {
		{"primes", primes, 60000}, {"fib", fib, 22}, {"matrix", matrix, 64}, {"crc", crc, 200000}, {"sort", sort, 4000},
		{"mandelbrot", mandelbrot, 80}, {"trees", trees, 12}, {"interpret", interpret, 100000}, {"strings", strings, 16000},
		{"hostcalls", hostcalls, 2000}, {"yields", yields, 2000},
	};
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		double best = 1e18;
		unsigned sum = 0;
		for (int k = 0; k < 60; k++) {
			double start = now();
			sum ^= all[i].run(all[i].n);
			double took = now() - start;
			if (took < best) best = took;
		}
		printf("%s %.0f %u\n", all[i].name, best, sum);
	}
	return 0;
}
