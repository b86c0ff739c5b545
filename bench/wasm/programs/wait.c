// Fills a mebibyte and waits, to be measured.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
	volatile char *p = malloc(1 << 20);
	memset((char *)p, 1, 1 << 20);
	sleep(300);
	return p[1] != 1;
}
