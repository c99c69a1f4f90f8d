console.error('about to spin');
for (;;);
