console.error('about to fail');
throw new Error('the wheels came off');
