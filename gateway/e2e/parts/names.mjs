// Preload (node --import): names under .test are this machine. It stands in for
// the DNS entries of the test hosts, so that clients run as they are.
import dns from 'node:dns';

const { lookup } = dns;

dns.lookup = (hostname, options, callback) => {
  const here = hostname.endsWith('.test') ? '127.0.0.1' : hostname;
  return lookup(here, options, callback);
};
