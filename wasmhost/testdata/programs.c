// Thirty small programs; the argument names the one that runs, "list" lists them.
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 12345;
static uint32_t rnd(void) { return seed = seed * 1664525u + 1013904223u; }

static void sieve(void) {
    static char no[20000];
    int n = 0;
    for (int i = 2; i < 20000; i++) { if (no[i]) continue; n++; for (int j = 2 * i; j < 20000; j += i) no[j] = 1; }
    printf("%d\n", n);
}
static int less(const void *a, const void *b) { uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b; return x < y ? -1 : x > y; }
static void sort_(void) {
    static uint32_t a[5000];
    for (int i = 0; i < 5000; i++) a[i] = rnd();
    qsort(a, 5000, sizeof *a, less);
    printf("%u %u %u\n", a[0], a[2500], a[4999]);
}
static void queens_at(int n, unsigned c, unsigned l, unsigned r, int *count) {
    if (c == (1u << n) - 1) { ++*count; return; }
    for (unsigned free = ~(c | l | r) & ((1u << n) - 1); free; free &= free - 1) {
        unsigned bit = free & -free;
        queens_at(n, c | bit, (l | bit) << 1, (r | bit) >> 1, count);
    }
}
static void queens(void) { int n = 0; queens_at(8, 0, 0, 0, &n); printf("%d\n", n); }
static void factorial(void) {
    int digits[400] = {1}, used = 1;
    for (int n = 2; n <= 120; n++) {
        int carry = 0;
        for (int i = 0; i < used || carry; i++) { if (i == used) used++; carry += digits[i] * n; digits[i] = carry % 10; carry /= 10; }
    }
    for (int i = used; i--;) putchar('0' + digits[i]);
    putchar('\n');
}
static void life(void) {
    static char g[2][40][40];
    for (int i = 0; i < 1600; i++) g[0][i / 40][i % 40] = rnd() >> 31;
    for (int t = 0; t < 50; t++)
        for (int y = 0; y < 40; y++) for (int x = 0; x < 40; x++) {
            int n = 0;
            for (int d = 0; d < 9; d++) if (d != 4) n += g[t & 1][(y + d / 3 + 39) % 40][(x + d % 3 + 39) % 40];
            g[~t & 1][y][x] = n == 3 || (n == 2 && g[t & 1][y][x]);
        }
    for (int y = 0; y < 40; y += 4) { for (int x = 0; x < 40; x++) putchar(g[0][y][x] ? '#' : '.'); putchar('\n'); }
}
static void brainfuck(void) {
    const char *p = "++++++++[>++++[>++>+++>+++>+<<<<-]>+>+>->>+[<]<-]>>.>---.+++++++..+++.>>.<-.<.+++.------.--------.>>+.>++.";
    static unsigned char t[100]; int d = 0;
    for (int i = 0; p[i]; i++) switch (p[i]) {
        case '>': d++; break; case '<': d--; break; case '+': t[d]++; break; case '-': t[d]--; break; case '.': putchar(t[d]); break;
        case '[': if (!t[d]) for (int n = 1; n;) { i++; n += (p[i] == '[') - (p[i] == ']'); } break;
        case ']': if (t[d]) for (int n = 1; n;) { i--; n += (p[i] == ']') - (p[i] == '['); } break;
    }
}
static void crc(void) {
    uint32_t c = ~0u;
    for (int i = 0; i < 30000; i++) { c ^= rnd() >> 24; for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1; }
    printf("%08x\n", ~c);
}
static void distance(void) {
    const char *a = "the quick brown fox jumps over the lazy dog", *b = "a lazy quick dog browses the boxes of a jumper";
    int row[64];
    for (int j = 0; b[j]; j++) row[j + 1] = j + 1;
    row[0] = 0;
    for (int i = 0; a[i]; i++) {
        int diag = row[0]++;
        for (int j = 0; b[j]; j++) {
            int best = diag + (a[i] != b[j]);
            diag = row[j + 1];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (diag + 1 < best) best = diag + 1;
            row[j + 1] = best;
        }
    }
    printf("%d\n", row[strlen(b)]);
}
static int ackermann_of(int m, int n) { return m == 0 ? n + 1 : n == 0 ? ackermann_of(m - 1, 1) : ackermann_of(m - 1, ackermann_of(m, n - 1)); }
static void ackermann(void) { printf("%d\n", ackermann_of(2, 300)); }
static void hanoi_of(int n, int a, int b, int c, uint64_t *h) { if (n) { hanoi_of(n - 1, a, c, b, h); *h = *h * 31 + a * 3 + c; hanoi_of(n - 1, b, a, c, h); } }
static void hanoi(void) { uint64_t h = 0; hanoi_of(12, 0, 1, 2, &h); printf("%llu\n", (unsigned long long)h); }
static void pi(void) { /* spigot */
    static int r[701]; int d = 0;
    for (int i = 0; i < 700; i++) r[i] = 2000;
    for (int k = 700; k > 0; k -= 14) {
        int s = 0;
        for (int i = k; i; i--) { s += r[i] * 10000; r[i] = s % (2 * i - 1); s /= 2 * i - 1; if (i > 1) s *= i - 1; }
        printf("%.4d", d + s / 10000); d = s % 10000;
    }
    putchar('\n');
}
static void floats(void) { for (double x = -3; x < 3; x += 0.37) printf("%.12g %.9e %a\n", sin(x) * exp(x), pow(fabs(x), 1.7), (double)(float)x / 3); }
static void integers(void) {
    for (int i = 0; i < 60; i++) {
        uint64_t a = (uint64_t)rnd() << 32 | rnd(); int64_t b = (int32_t)rnd() | 1;
        printf("%lld %lld %llx %d %d\n", (long long)((int64_t)a / b), (long long)((int64_t)a % b), (long long)(a << (b & 63) ^ a >> (-b & 63)), __builtin_clzll(a | 1), __builtin_popcountll(a));
    }
}
static void base64(void) {
    const char *abc = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 300; i++) { uint32_t v = rnd() >> 8; for (int s = 18; s >= 0; s -= 6) putchar(abc[v >> s & 63]); }
    putchar('\n');
}
struct node { struct node *l, *r; uint32_t k; };
static struct node *insert(struct node *n, uint32_t k) {
    if (!n) { n = calloc(1, sizeof *n); n->k = k; return n; }
    if (k < n->k) n->l = insert(n->l, k); else n->r = insert(n->r, k);
    return n;
}
static int depth(struct node *n) { if (!n) return 0; int l = depth(n->l), r = depth(n->r); return 1 + (l > r ? l : r); }
static void fell(struct node *n) { if (n) { fell(n->l); fell(n->r); free(n); } }
static void tree(void) { struct node *n = 0; for (int i = 0; i < 3000; i++) n = insert(n, rnd()); printf("%d\n", depth(n)); fell(n); }
static void words(void) {
    char text[] = "It was the best of times, it was the worst of times, it was the age of wisdom"; struct { char *w; int n; } t[20] = {0};
    for (char *w = strtok(text, " ,"); w; w = strtok(0, " ,")) { int i = 0; *w = tolower(*w); while (t[i].w && strcmp(t[i].w, w)) i++; t[i].w = w; t[i].n++; }
    for (int i = 0; t[i].w; i++) printf("%s %d\n", t[i].w, t[i].n);
}
static void matrix(void) {
    static double a[40][40], b[40][40], c[40][40];
    for (int i = 0; i < 1600; i++) a[i / 40][i % 40] = rnd() % 100 / 7.0, b[i % 40][i / 40] = rnd() % 100 / 3.0;
    double t = 0;
    for (int i = 0; i < 40; i++) for (int j = 0; j < 40; j++) { for (int k = 0; k < 40; k++) c[i][j] += a[i][k] * b[k][j]; t += c[i][j] * (i - j); }
    printf("%.10g\n", t);
}
static int calc(const char **p);
static int atom(const char **p) { if (**p == '(') { ++*p; int v = calc(p); ++*p; return v; } int v = 0; while (isdigit(**p)) v = v * 10 + *(*p)++ - '0'; return v; }
static int term(const char **p) { int v = atom(p); while (**p == '*' || **p == '/') { char o = *(*p)++; int w = atom(p); v = o == '*' ? v * w : w ? v / w : 0; } return v; }
static int calc(const char **p) { int v = term(p); while (**p == '+' || **p == '-') { char o = *(*p)++; int w = term(p); v += o == '+' ? w : -w; } return v; }
static void parser(void) { const char *e = "((12+34)*56-7/(8-9))*(10+2*(3+4*(5-6)))"; printf("%d\n", calc(&e)); }
static void collatz(void) { int best = 0, at = 0; for (int i = 1; i < 20000; i++) { int n = 0; for (uint64_t x = i; x != 1; n++) x = x & 1 ? 3 * x + 1 : x / 2; if (n > best) best = n, at = i; } printf("%d %d\n", at, best); }
static void mandel(void) { for (int y = 0; y < 24; y++) { for (int x = 0; x < 60; x++) { double a = 0, b = 0; int n = 0; for (; n < 90 && a * a + b * b < 4; n++) { double t = a * a - b * b + x / 20.0 - 2.2; b = 2 * a * b + y / 10.0 - 1.2; a = t; } putchar(" .:-=+*#%@"[n / 10]); } putchar('\n'); } }
static void moves(void) { char b[5000]; for (int i = 0; i < 5000; i++) b[i] = i * 7; for (int i = 0; i < 300; i++) { int f = rnd() % 4000, t = rnd() % 4000, n = rnd() % 1000; memmove(b + t, b + f, n); memset(b + f, i, n / 9); } unsigned h = 0; for (int i = 0; i < 5000; i++) h = h * 31 + b[i]; printf("%u\n", h); }
static void heap(void) { char *p[200] = {0}; unsigned h = 0; for (int i = 0; i < 20000; i++) { int k = rnd() % 200, n = rnd() % 3000 + 1; if (p[k]) h = h * 31 + (unsigned char)p[k][0]; p[k] = realloc(p[k], n); p[k][0] = i; if (rnd() % 5 == 0) { free(p[k]); p[k] = 0; } } printf("%u\n", h); }
static void grow(void) { size_t before = __builtin_wasm_memory_size(0); char *volatile p = malloc(9 << 20); memset(p, 3, 9 << 20); printf("%d %d\n", __builtin_wasm_memory_size(0) > before + 100, p[(9 << 20) - 1]); }
typedef int (*op)(int);
static int twice(int x) { return 2 * x; } static int plus3(int x) { return x + 3; } static int negate(int x) { return -x; }
static void pointers(void) { op t[] = {twice, plus3, negate, abs}; int v = 1; for (int i = 0; i < 5000; i++) v = t[rnd() >> 30](v) % 100003; printf("%d\n", v); }
static void graph(void) { static int d[60][60]; for (int i = 0; i < 3600; i++) d[i / 60][i % 60] = rnd() % 900 + 1; for (int k = 0; k < 60; k++) for (int i = 0; i < 60; i++) for (int j = 0; j < 60; j++) if (d[i][k] + d[k][j] < d[i][j]) d[i][j] = d[i][k] + d[k][j]; int t = 0; for (int i = 0; i < 3600; i++) t += d[i / 60][i % 60]; printf("%d\n", t); }
static void roman(void) { const char *s[] = {"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"}; int v[] = {1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1}; for (int y = 1900; y < 2030; y += 13) { int n = y; for (int i = 0; i < 13; i++) while (n >= v[i]) { fputs(s[i], stdout); n -= v[i]; } putchar('\n'); } }
static void numbers(void) { const char *t[] = {"3.14159", "1e308", "-2.5e-300", "0x1p-5", "nan", "12345678901234567890"}; for (int i = 0; i < 6; i++) printf("%.17g %ld\n", strtod(t[i], 0), strtol(t[i], 0, 0)); }
static void lines(void) { char l[300]; int n = 0; long c = 0; while (fgets(l, sizeof l, stdin)) { n++; c += strlen(l); } printf("%d lines, %ld bytes\n", n, c); }
static void echo_(void) { int c; while ((c = getchar()) != EOF) putchar(toupper(c)); }
static void trap(void) { puts("before"); fflush(stdout); __builtin_trap(); }

static const struct { const char *name; void (*run)(void); } all[] = {
    {"sieve", sieve}, {"sort", sort_}, {"queens", queens}, {"factorial", factorial}, {"life", life}, {"brainfuck", brainfuck}, {"crc", crc},
    {"distance", distance}, {"ackermann", ackermann}, {"hanoi", hanoi}, {"pi", pi}, {"floats", floats}, {"integers", integers}, {"base64", base64},
    {"tree", tree}, {"words", words}, {"matrix", matrix}, {"parser", parser}, {"collatz", collatz}, {"mandel", mandel}, {"moves", moves},
    {"heap", heap}, {"grow", grow}, {"pointers", pointers}, {"graph", graph}, {"roman", roman}, {"numbers", numbers}, {"lines", lines}, {"echo", echo_}, {"trap", trap},
};

int main(int argc, char **argv) {
    int n = sizeof all / sizeof *all;
    for (int i = 0; i < n; i++) {
        if (!strcmp(argv[1], "list")) puts(all[i].name);
        if (!strcmp(argv[1], all[i].name)) { all[i].run(); return i; }
    }
    return 0;
}
