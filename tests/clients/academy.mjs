// A school's bell: a list with a badge. What is read, unread or gone anywhere shows here.

import { FrontEnd } from './front_end.mjs';

export default class Academy extends FrontEnd {
  static path = '/ws/notifications/';

  badge = 0;

  number(frame) {
    return frame.notification?.seq ?? 0;
  }

  receive(frame) {
    if (frame.type === 'new_notification') {
      this.badge += frame.notification.is_read ? 0 : 1;
    } else if (frame.type === 'notification_updated') {
      this.badge = frame.unread_count;
    } else {
      return;
    }
    this.say({ badge: this.badge });
  }
}
