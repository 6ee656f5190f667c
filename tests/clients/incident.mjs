// Ticket alerts: a switch on `type` first and on `notification_type` otherwise. This family's
// clients know nothing of sequences.

import { FrontEnd } from './front_end.mjs';

export default class Incident extends FrontEnd {
  static path = '/ws/notifications/';

  receive(frame) {
    if (frame.type === 'connection_established' || frame.type === 'pong') {
      return;
    }
    switch (frame.notification_type) {
      case 'ticket_created':
      case 'ticket_opened':
      case 'work_finished':
        this.show(frame.ticket, frame.message);
        break;
      default:
        this.say({ unknown: frame.type ?? frame.notification_type });
    }
  }

  show(ticket, message) {
    this.say({ shown: `${ticket.priority_display} · ${ticket.title} · ${message}` });
  }
}
