package archive
import ("testing";"os")
func BenchmarkConvertTmp(b *testing.B){
 for range b.N {
  out:=b.TempDir()
  all,err:=ReadSeries("/tmp/i14/b/logs/web"); if err!=nil{b.Fatal(err)}
  q:=&Query{}; if err:=q.Prepare();err!=nil{b.Fatal(err)}
  for _,f:=range all[0].Files { n,_,err:=q.Convert(b.Context(),&all[0],f,Conversion{Out:out,Format:"combined"}); if err!=nil||n!=600000{b.Fatal(n,err)} }
  os.RemoveAll(out)
 }
}
