// Shows web push messages of the hub, and opens what they are about.

self.addEventListener('push', (event) => {
  const message = event.data?.json() ?? {};
  const { title = 'Bellpull', body = '', url = '/console/', tag } = message;
  event.waitUntil(self.registration.showNotification(title, {
    body, tag, icon: '/console/icon.svg', data: { url },
  }));
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const ticket = /\/tickets\/(\d+)\//.exec(event.notification.data?.url ?? '');
  const target = ticket ? `/console/tickets/${ticket[1]}` : '/console/inbox';
  event.waitUntil(self.clients.openWindow(target));
});
