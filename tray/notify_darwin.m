//go:build darwin && cgo

#import <Foundation/Foundation.h>
#import <UserNotifications/UserNotifications.h>
#include "notify_darwin.h"

extern void consentryNotifyPressed(unsigned number, char *key);

// How long the system may take to answer, in seconds.
static const int64_t patience = 5;

@interface ConsentryNotices : NSObject <UNUserNotificationCenterDelegate>
@end

@implementation ConsentryNotices

// Shown also while the menu is open.
- (void)userNotificationCenter:(UNUserNotificationCenter *)center
       willPresentNotification:(UNNotification *)notification
         withCompletionHandler:(void (^)(UNNotificationPresentationOptions))done {
  done(UNNotificationPresentationOptionBanner | UNNotificationPresentationOptionList);
}

- (void)userNotificationCenter:(UNUserNotificationCenter *)center
    didReceiveNotificationResponse:(UNNotificationResponse *)response
             withCompletionHandler:(void (^)(void))done {
  NSString *key = response.actionIdentifier;
  if ([key isEqualToString:UNNotificationDefaultActionIdentifier]) {
    key = @"details"; // a press beside the buttons
  } else if ([key isEqualToString:UNNotificationDismissActionIdentifier]) {
    key = @"";
  }
  unsigned number = (unsigned)response.notification.request.identifier.longLongValue;
  consentryNotifyPressed(number, (char *)key.UTF8String);
  done();
}

@end

static ConsentryNotices *notices;
// By identifier. The system keeps the whole set, so it is given anew each time.
static NSMutableDictionary<NSString *, UNNotificationCategory *> *categories;

int consentry_notify_start(void) {
  @autoreleasepool {
    if (NSBundle.mainBundle.bundleIdentifier == nil) {
      return 0; // currentNotificationCenter throws then
    }
    notices = [ConsentryNotices new];
    categories = [NSMutableDictionary new];
    UNUserNotificationCenter *center = UNUserNotificationCenter.currentNotificationCenter;
    center.delegate = notices;
    [center requestAuthorizationWithOptions:UNAuthorizationOptionAlert
                          completionHandler:^(BOOL granted, NSError *error){
                          }];
    return 1;
  }
}

// allowed asks each time: the user may change it while we run.
static BOOL allowed(UNUserNotificationCenter *center) {
  __block BOOL yes = NO;
  dispatch_semaphore_t answered = dispatch_semaphore_create(0);
  [center getNotificationSettingsWithCompletionHandler:^(UNNotificationSettings *settings) {
    yes = settings.authorizationStatus == UNAuthorizationStatusAuthorized;
    dispatch_semaphore_signal(answered);
  }];
  dispatch_semaphore_wait(answered, dispatch_time(DISPATCH_TIME_NOW, patience * NSEC_PER_SEC));
  return yes;
}

// category is the one with these buttons.
static NSString *category(UNUserNotificationCenter *center, NSString *name) {
  NSMutableArray<UNNotificationAction *> *actions = [NSMutableArray new];
  NSArray<NSString *> *lines = [name componentsSeparatedByString:@"\n"];
  for (NSUInteger i = 0; i + 1 < lines.count; i += 2) {
    NSString *key = lines[i], *label = lines[i + 1];
    UNNotificationActionOptions options = UNNotificationActionOptionNone;
    if ([key isEqualToString:@"allow"]) {
      options = UNNotificationActionOptionAuthenticationRequired; // no yes on a locked screen
    }
    [actions addObject:[UNNotificationAction actionWithIdentifier:key title:label options:options]];
  }
  @synchronized(categories) {
    if (categories[name] == nil) {
      categories[name] = [UNNotificationCategory categoryWithIdentifier:name
                                                                actions:actions
                                                      intentIdentifiers:@[]
                                                                options:UNNotificationCategoryOptionCustomDismissAction];
      [center setNotificationCategories:[NSSet setWithArray:categories.allValues]];
    }
  }
  return name;
}

int consentry_notify_show(unsigned number, const char *title, const char *body, const char *buttons) {
  @autoreleasepool {
    UNUserNotificationCenter *center = UNUserNotificationCenter.currentNotificationCenter;
    if (!allowed(center)) {
      return 0;
    }
    UNMutableNotificationContent *content = [UNMutableNotificationContent new];
    content.title = @(title);
    content.body = @(body);
    content.categoryIdentifier = category(center, @(buttons));
    UNNotificationRequest *request = [UNNotificationRequest requestWithIdentifier:@(number).stringValue content:content trigger:nil];
    __block BOOL shown = NO;
    dispatch_semaphore_t answered = dispatch_semaphore_create(0);
    [center addNotificationRequest:request
             withCompletionHandler:^(NSError *error) {
               shown = error == nil;
               dispatch_semaphore_signal(answered);
             }];
    dispatch_semaphore_wait(answered, dispatch_time(DISPATCH_TIME_NOW, patience * NSEC_PER_SEC));
    return shown;
  }
}

void consentry_notify_withdraw(unsigned number) {
  @autoreleasepool {
    NSArray<NSString *> *ids = @[ @(number).stringValue ];
    UNUserNotificationCenter *center = UNUserNotificationCenter.currentNotificationCenter;
    [center removePendingNotificationRequestsWithIdentifiers:ids];
    [center removeDeliveredNotificationsWithIdentifiers:ids];
  }
}
