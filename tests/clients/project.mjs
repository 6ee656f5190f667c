// A board of tickets: toasts that are known by their ids, and for each project that is open a
// socket for its tickets and one for who is there.

import { FrontEnd } from './front_end.mjs';

export default class Project extends FrontEnd {
  static path = '/ws/notifications/';

  number(frame) {
    return frame.data?.seq ?? 0;
  }

  receive(frame) {
    if (frame.type === 'notification_message') {
      this.say({ toast: frame.data.id });
    }
  }

  /** Opens a project's tickets or its presence in a tab. */
  watch(tab, project, stream) {
    this.open_tab(tab, `/ws/projects/${project}/${stream}/`);
  }

  look_at(tab, ticket) {
    this.send({ type: 'ticket_viewing', ticket_id: ticket }, tab);
  }

  type_on(tab, ticket, isTyping) {
    this.send({ type: 'user_typing', ticket_id: ticket, is_typing: isTyping }, tab);
  }
}
