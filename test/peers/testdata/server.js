// A server of the thrift package of npm that knows only Log: node server.js GEN PORT OUT
const fs = require('fs'), path = require('path');
const [gen, port, out] = process.argv.slice(2);
const thrift = require('thrift');
const scribe = require(path.join(gen, 'scribe')), ttypes = require(path.join(gen, 'log_types'));
const file = fs.openSync(out, 'a');
thrift.createServer(scribe, {
  Log(messages, result) {
    for (const m of messages) fs.writeSync(file, m.message);
    result(null, ttypes.ResultCode.OK);
  },
}, { transport: thrift.TFramedTransport, protocol: thrift.TBinaryProtocol }).listen(Number(port), '127.0.0.1');
