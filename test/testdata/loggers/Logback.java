// Writes lines of its standard input with Logback, as the configuration says that is its argument: see loggers_test.go.
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.rolling.RollingFileAppender;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

public class Logback {
	public static void main(String[] args) throws Exception {
		System.setProperty("logback.configurationFile", args[0]);
		Logger log = LoggerFactory.getLogger("app");
		LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
		RollingFileAppender<ILoggingEvent> file =
			(RollingFileAppender<ILoggingEvent>) context.getLogger(Logger.ROOT_LOGGER_NAME).getAppender("file");
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.ISO_8859_1));
		for (String line; (line = in.readLine()) != null; ) {
			switch (line.charAt(0)) {
			case 'L':
				log.info(line.substring(1));
				break;
			case 'R':
				file.rollover();
				break;
			default:
				System.out.println("done");
			}
		}
		context.stop();
	}
}
