# A server of Ruby's thrift library with bounds: ruby server.rb GEN PORT OUT LIMIT SECONDS_A_MESSAGE
gen, port, out, limit, wait = ARGV
$:.unshift gen
require 'thrift'
require 'scribe'

class Handler
  def initialize(out, limit, wait)
    @out, @limit, @wait = File.open(out, 'a'), limit, wait
    @out.sync = true
  end

  def Log(messages)
    return ResultCode::TRY_LATER if messages.size > @limit
    @out.write(messages.map(&:message).join)
    sleep(@wait * messages.size) if @wait > 0
    ResultCode::OK
  end
end

# Scribe's clients write the old style, without a version.
class OldStyle < Thrift::BinaryProtocolFactory
  def get_protocol(transport) = Thrift::BinaryProtocol.new(transport, false, false)
end

transport = Thrift::ServerSocket.new('127.0.0.1', port.to_i)
processor = Scribe::Processor.new(Handler.new(out, limit.to_i, wait.to_f))
Thrift::ThreadedServer.new(processor, transport, Thrift::FramedTransportFactory.new, OldStyle.new).serve
