// Loaded into npm: connects from the address in BENCH_LOCAL_ADDRESS, as npm's own setting for that is not heeded
// everywhere. Plain JavaScript, since npm may run on a Node.js that strips no types.
import { Socket } from 'node:net';

const localAddress = process.env.BENCH_LOCAL_ADDRESS;
const { connect } = Socket.prototype;

Socket.prototype.connect = function (...args) {
  // Called by the HTTP client with the arguments as an array already.
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (typeof options === 'object' && options.port !== undefined) options.localAddress = localAddress;
  return connect.apply(this, args);
};
