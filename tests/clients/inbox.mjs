// An inbox in a side panel: everything is asked for over the socket, and answered there.

import { FrontEnd } from './front_end.mjs';

export default class Inbox extends FrontEnd {
  static path = '/ws/notifications/';

  number(frame) {
    return frame.notification?.seq ?? 0;
  }

  receive(frame) {
    if (frame.type === 'notification' && !frame.notification.read) {
      this.say({ bell: frame.notification.title });
    }
  }

  notify(userId, title, message, more) {
    this.send({
      type: 'send_notification', user_id: userId, title, message, notification_type: 'approval',
      ...more,
    });
  }

  /** As this family's clients write it: the key twice. The language keeps the last one. */
  notify_of_type(userId, title, message, type) {
    this.send({ type: 'send_notification', user_id: userId, title, message, 'type': type });
  }

  show(more) {
    this.send({ type: 'get_notifications', ...more });
  }

  read(id) {
    this.send({ type: 'mark_read', notification_id: id });
  }

  read_all() {
    this.send({ type: 'mark_all_read' });
  }

  remove(id) {
    this.send({ type: 'delete_notification', notification_id: id });
  }
}
