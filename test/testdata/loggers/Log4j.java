// Writes lines of its standard input with Log4j 2, as the configuration says that is its argument: see loggers_test.go.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.apache.logging.log4j.core.LoggerContext;
import org.apache.logging.log4j.core.appender.RollingFileAppender;

public class Log4j {
	public static void main(String[] args) throws Exception {
		System.setProperty("log4j2.configurationFile", args[0]);
		Logger log = LogManager.getLogger("app");
		LoggerContext context = (LoggerContext) LogManager.getContext(false);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.ISO_8859_1));
		for (String line; (line = in.readLine()) != null; ) {
			switch (line.charAt(0)) {
			case 'L':
				log.info(line.substring(1));
				break;
			case 'R':
				((RollingFileAppender) context.getConfiguration().getAppender("file")).getManager().rollover();
				break;
			default:
				System.out.println("done");
			}
		}
		LogManager.shutdown();
	}
}
