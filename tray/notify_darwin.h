// What notify_cgo_darwin.go calls, and what calls it. All text is UTF-8.

// consentry_notify_start returns 0 where there is no bundle.
int consentry_notify_start(void);

// consentry_notify_show shows a notification in the place of one of the same id.
// buttons are lines: the key of one, its label, the key of the next. It returns 0 where the user
// has not allowed notifications.
int consentry_notify_show(unsigned number, const char *title, const char *body, const char *buttons);

void consentry_notify_withdraw(unsigned number);
