// A pretend computecore.dll: it writes down how it was called, and answers as
// the environment says. For tests under Wine; without a C library.
typedef unsigned short wchar;
typedef unsigned int u32;
typedef unsigned long long u64;
#define IMPORT __declspec(dllimport)
#define CALL __stdcall
#define EXPORT __declspec(dllexport)

IMPORT void *CALL CreateFileW(const wchar *, u32, u32, void *, u32, u32, void *);
IMPORT int CALL WriteFile(void *, const void *, u32, u32 *, void *);
IMPORT int CALL CloseHandle(void *);
IMPORT u32 CALL GetEnvironmentVariableW(const wchar *, wchar *, u32);
IMPORT void *CALL LocalAlloc(u32, u64);
IMPORT void CALL Sleep(u32);

enum { APPEND = 4, SHARED = 3, OPEN_ALWAYS = 4 };
#define FAILED_LATER 0x80370102u
#define DENIED 0x80070005u
#define PENDING 0xc0370103u

static u32 length(const wchar *s) { u32 n = 0; while (s && s[n]) n++; return n; }

static int is(const wchar *value) {
  wchar mode[64];
  u32 n = GetEnvironmentVariableW(u"PRETEND_HCS", mode, 64);
  if (n != length(value)) return 0;
  for (u32 i = 0; i < n; i++) if (mode[i] != value[i]) return 0;
  return 1;
}

static void put(void *file, const wchar *s) { u32 done; WriteFile(file, s, 2 * length(s), &done, 0); }

static void number(void *file, u64 n) {
  wchar digits[21];
  int i = 20;
  digits[i] = 0;
  do { digits[--i] = u'0' + n % 10; n /= 10; } while (n);
  put(file, digits + i);
}

static void note(const wchar *call, u64 a, const wchar *s, const wchar *t) {
  wchar path[512];
  if (!GetEnvironmentVariableW(u"PRETEND_HCS_LOG", path, 512)) return;
  void *file = CreateFileW(path, APPEND, SHARED, 0, OPEN_ALWAYS, 0, 0);
  put(file, call);
  put(file, u"\t");
  number(file, a);
  put(file, u"\t");
  if (s) put(file, s);
  put(file, u"\t");
  if (t) put(file, t);
  put(file, u"\x1e");
  CloseHandle(file);
}

static wchar *copy(const wchar *s) {
  wchar *to = LocalAlloc(0x40, 2 * (length(s) + 1));
  for (u32 i = 0; s[i]; i++) to[i] = s[i];
  return to;
}

static const wchar *answer;

EXPORT void *CALL HcsCreateOperation(void *context, void *callback) { note(u"operation", (u64)context + (u64)callback, 0, 0); return (void *)77; }
EXPORT void CALL HcsCloseOperation(void *o) { note(u"close operation", (u64)o, 0, 0); }

EXPORT u32 CALL HcsWaitForOperationResult(void *o, u32 ms, wchar **result) {
  note(u"wait operation", ms > 0 && ms <= 60000 ? (u64)o : 0, 0, 0);
  if (is(u"later")) { *result = copy(u"{\"Error\":-2143878910}"); return FAILED_LATER; }
  if (answer) *result = copy(answer);
  answer = 0;
  return 0;
}

EXPORT u32 CALL HcsCreateComputeSystem(const wchar *id, const wchar *document, void *o, void *security, void **system) {
  note(u"create", (u64)o + (u64)security, id, document);
  if (is(u"denied")) return DENIED;
  *system = (void *)4711;
  return PENDING;
}

EXPORT u32 CALL HcsStartComputeSystem(void *system, void *o, const wchar *options) { note(u"start", (u64)system + (u64)o, options, 0); return 0; }

EXPORT u32 CALL HcsGetComputeSystemProperties(void *system, void *o, const wchar *query) {
  note(u"properties", (u64)system + (u64)o, query, 0);
  answer = u"{\"Id\":\"consentry-run1\",\"SystemType\":\"VirtualMachine\",\"State\":\"Running\",\"RuntimeId\":\"8a3b6ff1-7d6f-4d6e-9c5d-0f5c6d1b2a3c\"}";
  return 0;
}

EXPORT u32 CALL HcsTerminateComputeSystem(void *system, void *o, const wchar *options) {
  note(u"terminate", (u64)system + (u64)o, options, 0);
  return is(u"ended") ? 0xc0370110u : 0;
}

EXPORT u32 CALL HcsWaitForComputeSystemExit(void *system, u32 ms, wchar **result) {
  note(u"wait", ms == 0xffffffffu ? (u64)system : 0, 0, 0);
  Sleep(50);
  *result = copy(u"{\"Status\":0,\"ExitType\":\"GracefulExit\"}");
  return 0;
}

EXPORT void CALL HcsCloseComputeSystem(void *system) { note(u"close", (u64)system, 0, 0); }

EXPORT u32 CALL HcsGrantVmAccess(const wchar *id, const wchar *path) { note(u"grant", 0, id, path); return 0; }
